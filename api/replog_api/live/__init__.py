"""Live answers: snapshots of records, and the streams of their changes."""
