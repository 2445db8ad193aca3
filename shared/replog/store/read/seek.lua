-- include: read/behind.lua
-- The members that follow a given one in a time index, newest first.
--
-- KEYS[1] zset by time
-- ARGV[1] limit, at most 1000   ARGV[2] score and ARGV[3] id of the last member seen; both '' to begin
--
-- Returns {id, score, ...}. The last member need not be there any more. Cost: O(log(n)^2 + limit), also where all scores
-- are equal. Only reads.

local from = ARGV[2] == '' and 0 or rank_behind(KEYS[1], ARGV[2], ARGV[3])
return redis.call('ZREVRANGE', KEYS[1], from, from + ARGV[1] - 1, 'WITHSCORES')
