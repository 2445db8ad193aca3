-- How many members of a lex zset lie between two tails, behind each of many heads.
--
-- KEYS[1] lex zset
-- ARGV[1] tail to count from, included   ARGV[2] tail to count to, excluded   ARGV[3..] heads, at most 500
--
-- Returns {count, ...}, one a head. Cost: O(heads * log(n)). Only reads.

local counts = {}
for i = 3, #ARGV do
  counts[i - 2] = redis.call('ZLEXCOUNT', KEYS[1], '[' .. ARGV[i] .. ARGV[1], '(' .. ARGV[i] .. ARGV[2])
end
return counts
