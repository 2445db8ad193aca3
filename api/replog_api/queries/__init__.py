"""The queries: one module for each kind of answer, how a query is run, and how rows are rendered."""
