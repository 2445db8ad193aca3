-- A part of a record's pairs with the numbers of their details by status, and what else a search begins with.
--
-- KEYS[1] record hash   KEYS[2] pairs lex zset   KEYS[3] time zset
-- ARGV[1] first member of pairs, included, and ARGV[2] the last, excluded, as bounds of ZRANGEBYLEX
-- ARGV[3] members to skip   ARGV[4] limit, at most 150
--
-- Returns {version or nil, details, pairs in all, pairs within the bounds,
--          {member of pairs, ...}, {details RUNNING, SUCCESS, FAILED of the first pair, ...}}, nil for none.
-- Cost: O(log(pairs) + limit). Only reads.

local STATUSES = { 'R', 'S', 'F' }
local members = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', ARGV[3], ARGV[4])
local fields = {}
for _, member in ipairs(members) do
  -- cluster NUL repo NUL pair
  local pair = string.match(member, '^[^%z]*%z[^%z]*%z(.*)$')
  for _, status in ipairs(STATUSES) do
    fields[#fields + 1] = 'f' .. pair .. status
  end
end
return {
  redis.call('HGET', KEYS[1], 'v'),
  redis.call('ZCARD', KEYS[3]),
  redis.call('ZCARD', KEYS[2]),
  redis.call('ZLEXCOUNT', KEYS[2], ARGV[1], ARGV[2]),
  members,
  #fields > 0 and redis.call('HMGET', KEYS[1], unpack(fields)) or {},
}
