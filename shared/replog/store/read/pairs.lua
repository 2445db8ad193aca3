-- The pairs at some ranks of their index, with how many details of each status they have.
--
-- KEYS[1] record hash   KEYS[2] pairs lex zset
-- ARGV[1] first rank and ARGV[2] last rank, both included, at most 300 ranks   ARGV[3..] letters of statuses
--
-- Returns {{member of pairs, ...}, {number of each status of the first pair, of the second, ...}}, nil for none.
-- Cost: O(log(pairs) + ranks), about 2 us a pair. Only reads.

local members, fields = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2]), {}
for _, member in ipairs(members) do
  -- Cluster, repository and scheme have no NUL, which ends each; the pair's number may have one.
  local ends = 0
  for _ = 1, 3 do
    ends = string.find(member, '\0', ends + 1, true)
  end
  local field = 'f' .. string.sub(member, ends + 1)
  for status = 3, #ARGV do
    fields[#fields + 1] = field .. ARGV[status]
  end
end
return { members, #fields > 0 and redis.call('HMGET', KEYS[1], unpack(fields)) or {} }
