-- include: read/behind.lua
-- Records of a bucket that run and are silent themselves, whatever their details are.
--
-- KEYS[1] running zset
-- ARGV[1] last event that is long enough ago, ms, included   ARGV[2] score and ARGV[3] id of the last record looked at,
-- both '' to begin   ARGV[4] records to look at, at most 500
--
-- Returns {{id, ...}, score of the last one}, the latter where there are others. Goes from the one that is silent longest
-- to later ones.
-- Cost: O(log(n)^2 + records), about 0.2 us a record. Only reads.

local RUNNING, most = KEYS[1], tonumber(ARGV[4])
local from = ARGV[2] == '' and 0 or rank_behind(RUNNING, ARGV[2], ARGV[3], true)
local left = redis.call('ZCOUNT', RUNNING, '-inf', ARGV[1]) - from
if left <= 0 then
  return { {} }
end
local ids = redis.call('ZRANGE', RUNNING, from, from + math.min(left, most) - 1)
if left <= most then
  return { ids }
end
return { ids, redis.call('ZMSCORE', RUNNING, ids[#ids])[1] }
