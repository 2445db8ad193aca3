-- The members of the index by pair between two ranks in time, behind each of many heads.
--
-- KEYS[1] bypair lex zset   KEYS[2] time zset
-- ARGV[1] first rank, included, and ARGV[2] last rank, excluded   ARGV[3] msgpack array of heads, at most 50
-- ARGV[4] most members to read, at most 1000
--
-- Returns {member, ...}, or nil where there are more. Cost: O(heads * log(n) + members). Only reads.

local above, below = tail_before(tonumber(ARGV[1]), KEYS[2]), tail_before(tonumber(ARGV[2]), KEYS[2])
local found, left = {}, tonumber(ARGV[4])
for _, head in ipairs(cmsgpack.unpack(ARGV[3])) do
  local members = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. head .. below, '(' .. head .. above, 'LIMIT', 0, left + 1)
  left = left - #members
  if left < 0 then
    return false
  end
  for _, member in ipairs(members) do
    found[#found + 1] = member
  end
end
return found
