-- include: read/within.lua
-- The values of many ids in a hash, as far as they fit an answer.
--
-- KEYS[1] hash
-- ARGV[1] bytes after which no more are read   ARGV[2] '1' where wide values are known to be there
-- ARGV[3], ... the ids, at most 1000
--
-- Returns {value or nil, ...} of the first ids, of one at least. Cost: O(ids + bytes). Only reads.

return values_within(KEYS[1], { unpack(ARGV, 3) }, tonumber(ARGV[1]), ARGV[2] == '1')
