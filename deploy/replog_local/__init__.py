"""The local stack: an embedded broker and Redis, both services, and simulated workers."""
