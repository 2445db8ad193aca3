-- The members of the index by pair between two places in time, behind each of many heads.
--
-- KEYS[1] bypair lex zset
-- ARGV[1] time and short id before which they are, '\255' for all   ARGV[2] those of the oldest of them, included
-- ARGV[3] msgpack array of heads, at most 200   ARGV[4] most members to read, at most 1000
--
-- Returns {member, ...}, or nil where there are more. Cost: O(heads * log(n) + members), 3 to 7 us a head in a record of
-- a million. Only reads.

local above, below, found, left = ARGV[1], ARGV[2], {}, tonumber(ARGV[4])
for _, head in ipairs(cmsgpack.unpack(ARGV[3])) do
  local low, high = '[' .. head .. below, '(' .. head .. above
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
