-- The member at an index among those of a lex zset that begin with a head and lie at or behind a tail.
--
-- KEYS[1] lex zset   ARGV[1] head   ARGV[2] tail   ARGV[3] index, from 0
--
-- Returns the member. Cost: O(log(n)). Only reads.

local first = redis.call('ZLEXCOUNT', KEYS[1], '-', '(' .. ARGV[1] .. ARGV[2])
local at = first + ARGV[3]
return redis.call('ZRANGE', KEYS[1], at, at)[1]
