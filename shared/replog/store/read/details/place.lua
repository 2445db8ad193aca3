-- include: read/details/ranks.lua
-- The last of so many details that follow a place in the order of time of some statuses, newest first.
--
-- KEYS[1] record hash   KEYS[2] bystatus lex zset
-- ARGV[1] letters of these statuses   ARGV[2] how many details, at least 1
-- ARGV[3] time and id of the last detail seen, which need not be there any more; '\255' to begin
-- ARGV[4] letters of all statuses, ascending
--
-- Returns time and id of the last of them, or of all where there are fewer; '' where none follows.
-- Cost: a few times O(log(details of the record)). Only reads.

local parts, total = parts_of(KEYS[1], ARGV[1], ARGV[4])
for _, part in ipairs(parts) do
  part.low = not_older(KEYS[2], part, ARGV[3])
end
local seen = lows_of(parts)
if seen == total then
  return ''
end
local before_last = math.min(seen + ARGV[2], total) - 1
return merged(KEYS[2], parts, total, search(KEYS[2], parts, before_last), 1)[1] or ''
