-- How many members of the index by pair lie before a place: older, behind any of many heads.
--
-- KEYS[1] bypair lex zset
-- ARGV[1] the place: time and short id, '\255' above all and '' below   ARGV[2] msgpack array of heads, at most 50
-- ARGV[3] '1' where what lies before each head is to be counted too: that takes half the time
--
-- Returns the number. Cost: O(heads * log(n)), 2 to 6 us a head in a record of a million. Only reads.

local found = 0
for _, head in ipairs(cmsgpack.unpack(ARGV[2])) do
  local from = ARGV[3] == '1' and '-' or '[' .. head
  found = found + redis.call('ZLEXCOUNT', KEYS[1], from, '(' .. head .. ARGV[1])
end
return found
