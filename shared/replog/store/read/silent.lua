-- include: read/behind.lua
-- Of the records of a bucket that run and are silent themselves, those whose details are silent too.
--
-- KEYS[1] running zset   KEYS[2] due zset
-- ARGV[1] last event that is long enough ago, ms   ARGV[2] last event of those to be listed, ms; both included
-- ARGV[3] score and ARGV[4] id of the last record looked at, both '' to begin   ARGV[5] records to look at, at most 500
--
-- Returns {silent ones, {id, last event in ms, ...} of those that are listed, score and id of the last one looked at},
-- without the latter two where all were looked at. Goes from the one that is silent longest by itself to later ones.
-- Cost: O(log(n)^2 + records), about 1 us a record. Only reads.

local RUNNING, DUE, UNTIL, LISTED = KEYS[1], KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local from = ARGV[3] == '' and 0 or rank_behind(RUNNING, ARGV[3], ARGV[4], true)
local scored = redis.call('ZRANGE', RUNNING, from, from + ARGV[5] - 1, 'WITHSCORES')
local ids, owns = {}, {}
for i = 1, #scored, 2 do
  local own = tonumber(scored[i + 1])
  if own > UNTIL then
    break
  end
  ids[#ids + 1], owns[#owns + 1] = scored[i], own
end
local silent, found = 0, {}
local lasts = #ids > 0 and redis.call('ZMSCORE', DUE, unpack(ids)) or {}
for i, id in ipairs(ids) do
  local last = math.max(owns[i], tonumber(lasts[i] or owns[i]))
  if last <= UNTIL then
    silent = silent + 1
    if last <= LISTED then
      found[#found + 1], found[#found + 2] = id, string.format('%.0f', last)
    end
  end
end
if #ids < tonumber(ARGV[5]) then
  return { silent, found }
end
return { silent, found, scored[#scored], scored[#scored - 1] }
