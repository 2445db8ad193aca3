"""Live answers: snapshots of records, and the streams that tell their changes."""
