"""The local stack: an embedded broker and Redis, simulated workers, and the ``replog`` command."""
