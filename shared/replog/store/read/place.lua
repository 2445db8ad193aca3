-- include: read/behind.lua
-- The last of so many members that follow a given one in a time index, newest first.
--
-- KEYS[1] zset by time
-- ARGV[1] how many members, at least 1   ARGV[2] score and ARGV[3] id of the last member seen; both '' to begin
--
-- Returns {id, score} of the last of them, or of all where there are fewer; empty where none follows. The last member
-- seen need not be there any more. Cost: O(log(n)^2), also where all scores are equal. Only reads.

local TIME = KEYS[1]
local from = ARGV[2] == '' and 0 or rank_behind(TIME, ARGV[2], ARGV[3])
local last = math.min(from + ARGV[1], redis.call('ZCARD', TIME)) - 1
return last < from and {} or redis.call('ZREVRANGE', TIME, last, last, 'WITHSCORES')
