-- The members of the index by pair between two places, behind each of many heads, and how many lie before those.
--
-- KEYS[1] bypair lex zset
-- ARGV[1] place above them and ARGV[2] place of the oldest, included: time and short id, '\255' above all and '' below
-- ARGV[3] msgpack array of heads, at most 50   ARGV[4] most members to read, at most 1000
-- ARGV[5] '1' where what lies before each head is to be counted too: that takes half the time
--
-- Returns {members older than the first place, these included, {member, ...}}, or nil where there are more of the latter.
-- Cost: O(heads * log(n) + members), 5 to 10 us a head in a record of a million. Only reads.

local above, below = ARGV[1], ARGV[2]
local older, found, left = 0, {}, tonumber(ARGV[4])
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
  older = older + redis.call('ZLEXCOUNT', KEYS[1], ARGV[5] == '1' and '-' or '[' .. head, high)
end
return { older, found }
