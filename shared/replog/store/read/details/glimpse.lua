-- include: read/details/between.lua
-- The members of the index by pair between two places, behind each of many heads, and how many lie before those.
--
-- KEYS[1] bypair lex zset
-- ARGV[1] place above them and ARGV[2] place of the oldest, included: time and short id, '\255' above all and '' below
-- ARGV[3] msgpack array of heads, at most 50   ARGV[4] most members to read, at most 1000
-- ARGV[5] '1' where what lies before each head is to be counted too: that takes half the time
--
-- Returns {members older than the first place, these included, {member, ...}}, or nil where there are more of the latter.
-- Cost: O(heads * log(n) + members), 5 to 10 us a head in a record of a million. Only reads.

local above, below, heads = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])
local found = members_between(KEYS[1], heads, above, below, tonumber(ARGV[4]))
if not found then
  return false
end
local older = 0
for _, head in ipairs(heads) do
  local low = ARGV[5] == '1' and '-' or '[' .. head
  older = older + redis.call('ZLEXCOUNT', KEYS[1], low, '(' .. head .. above)
end
return { older, found }
