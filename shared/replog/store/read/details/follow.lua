-- include: read/details/ranks.lua
-- include: read/within.lua
-- The details that follow a place in the order of time of some statuses, newest first, with their values.
--
-- KEYS[1] record hash   KEYS[2] details hash   KEYS[3] bystatus lex zset
-- ARGV[1] letters of these statuses   ARGV[2] limit, at most 1000
-- ARGV[3] time and id of the last detail seen, which need not be there any more; '\255' to begin
-- ARGV[4] bytes of values after which no more are read   ARGV[5] '1' where wide values are known to be there
-- ARGV[6] letters of all statuses, ascending
--
-- Returns {{time and id, ...}, {value or nil, ...}, counter of the record's changes or nil}: values of the first ones alone
-- where all are more than the bytes, and of one at least. Cost: O(log(n) + limit + bytes). Only reads.

local parts, total, version = parts_of(KEYS[1], ARGV[1], ARGV[6])
for _, part in ipairs(parts) do
  part.low = not_older(KEYS[3], part, ARGV[3])
end
local tails = total > 0 and merged(KEYS[3], parts, total, 0, tonumber(ARGV[2])) or {}
return { tails, (values_within(KEYS[2], ids_of(tails), tonumber(ARGV[4]), ARGV[5] == '1')), version }
