-- The members of a lex zset between two tails, behind each of many heads.
--
-- KEYS[1] lex zset
-- ARGV[1] tail to read from, included   ARGV[2] tail to read to, excluded   ARGV[3] msgpack array of heads, at most 100
-- ARGV[4] most members to read, at most 1000
--
-- Returns {member, ...}, or nil where there are more. Cost: O(heads * log(n) + members). Only reads.

local found, left = {}, tonumber(ARGV[4])
for _, head in ipairs(cmsgpack.unpack(ARGV[3])) do
  local low, high = '[' .. head .. ARGV[1], '(' .. head .. ARGV[2]
  local members = redis.call('ZRANGEBYLEX', KEYS[1], low, high, 'LIMIT', 0, left + 1)
  left = left - #members
  if left < 0 then
    return false
  end
  for _, member in ipairs(members) do
    found[#found + 1] = member
  end
end
return found
