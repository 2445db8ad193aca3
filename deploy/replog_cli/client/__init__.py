"""The client of the query service: requests, streams and exports, with errors that say what to do."""
