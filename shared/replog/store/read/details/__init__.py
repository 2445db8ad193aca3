"""Pages, filters, totals and summaries of the details of a record, with their Lua scripts."""
