"""The server below HTTP: processes, the listening socket, connections, and the stop in order."""
