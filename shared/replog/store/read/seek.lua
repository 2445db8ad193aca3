-- include: read/behind.lua
-- include: read/within.lua
-- The members that follow a given one in a time index, newest first, with what a hash holds of them.
--
-- KEYS[1] zset by time   KEYS[2] hash of the members; may be missing from the call
-- ARGV[1] limit, at most 1000   ARGV[2] score and ARGV[3] id of the last member seen; both '' to begin
-- ARGV[4] bytes of values after which no more are read   ARGV[5] '1' where wide values are known to be there
--
-- Returns {{id, score, ...}, {value, ...}}; the second is empty without KEYS[2], and of the first ids alone where all
-- are more than the bytes.
-- The last member need not be there any more. Cost: O(log(n)^2 + limit + bytes), also where all scores are equal.
-- Only reads.

local from = ARGV[2] == '' and 0 or rank_behind(KEYS[1], ARGV[2], ARGV[3])
local scored = redis.call('ZREVRANGE', KEYS[1], from, from + ARGV[1] - 1, 'WITHSCORES')
if #scored == 0 or not KEYS[2] then
  return { scored, {} }
end
local ids = {}
for i = 1, #scored, 2 do
  ids[#ids + 1] = scored[i]
end
return { scored, values_within(KEYS[2], ids, tonumber(ARGV[4]), ARGV[5] == '1') }
