-- The members of a lex zset between two tails, behind each of many heads.
--
-- KEYS[1] lex zset
-- ARGV[1] tail to read from, included   ARGV[2] tail to read to, excluded   ARGV[3..] heads, at most 500
--
-- Returns {member, ...}. The caller has counted them: at most about 2000. Cost: O(heads * log(n) + members). Only reads.

local found = {}
for i = 3, #ARGV do
  local members = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[i] .. ARGV[1], '(' .. ARGV[i] .. ARGV[2])
  for _, member in ipairs(members) do
    found[#found + 1] = member
  end
end
return found
