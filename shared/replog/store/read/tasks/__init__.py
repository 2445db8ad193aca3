"""Pages of tasks and of their records, with their Lua scripts."""
