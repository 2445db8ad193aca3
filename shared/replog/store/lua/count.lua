-- How many members of a lex zset lie at or behind a tail, behind any of many heads.
--
-- KEYS[1] lex zset
-- ARGV[1] tail to count from   ARGV[2] msgpack array of heads, at most 100
--
-- Returns the number. Cost: O(heads * log(n)), 3 to 6 us a head in a record of a million. Only reads.

local found = 0
for _, head in ipairs(cmsgpack.unpack(ARGV[2])) do
  found = found + redis.call('ZLEXCOUNT', KEYS[1], '[' .. head .. ARGV[1], '(' .. head .. '\255')
end
return found
