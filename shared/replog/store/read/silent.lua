-- include: read/behind.lua
-- Of the records of a bucket that run and are silent themselves, those whose details are silent too: how many, and the
-- first of them.
--
-- KEYS[1] running zset   KEYS[2] due zset
-- ARGV[1] last event that is long enough ago, ms   ARGV[2] last event of those to be listed, ms; both included
-- ARGV[3] score and ARGV[4] id of the last record looked at, both '' to begin   ARGV[5] records to look at, at most 500
-- ARGV[6] '1' where the records have been counted   ARGV[7] records to look at then, at most 500
--
-- Returns {silent ones that were not counted before, 1 where these are all, {id, last event in ms, ...} of those that are
-- listed, score and id of the last one looked at}, without the latter two where no other is to be looked at. Goes from
-- the one that is silent longest by itself to later ones.
-- All are counted at once where few records of the bucket, running or not, had a later event: those that are silent
-- themselves, less those of them that are among these. Then only those are looked at that may be listed.
-- Cost: O(log(n)^2 + records), about 1 us a record. Only reads.

local RUNNING, DUE, UNTIL, LISTED = KEYS[1], KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local silent, is_counted, bound, most = 0, ARGV[6] == '1', ARGV[1], tonumber(ARGV[5])

if not is_counted and ARGV[3] == '' then
  local candidates = redis.call('ZCOUNT', RUNNING, '-inf', ARGV[1])
  local later = redis.call('ZCOUNT', DUE, '(' .. ARGV[1], '+inf')
  if later <= math.min(candidates, most) then
    silent, is_counted = candidates, true
    local ids = later > 0 and redis.call('ZRANGE', DUE, '(' .. ARGV[1], '+inf', 'BYSCORE') or {}
    for _, own in ipairs(#ids > 0 and redis.call('ZMSCORE', RUNNING, unpack(ids)) or {}) do
      if own and tonumber(own) <= UNTIL then
        silent = silent - 1
      end
    end
  end
end
if is_counted then
  most = tonumber(ARGV[7])
  bound = LISTED < UNTIL and ARGV[2] or bound
end

local from = ARGV[3] == '' and 0 or rank_behind(RUNNING, ARGV[3], ARGV[4], true)
local left = redis.call('ZCOUNT', RUNNING, '-inf', bound) - from
if left <= 0 then
  return { silent, is_counted and 1 or 0, {} }
end
local scored = redis.call('ZRANGE', RUNNING, from, from + math.min(left, most) - 1, 'WITHSCORES')
local ids, owns = {}, {}
for i = 1, #scored, 2 do
  ids[#ids + 1], owns[#owns + 1] = scored[i], tonumber(scored[i + 1])
end
local found = {}
for i, last in ipairs(redis.call('ZMSCORE', DUE, unpack(ids))) do
  local active = math.max(owns[i], tonumber(last or owns[i]))
  if active <= UNTIL then
    silent = silent + (is_counted and 0 or 1)
    if active <= LISTED then
      found[#found + 1], found[#found + 2] = ids[i], string.format('%.0f', active)
    end
  end
end
if left <= most then
  return { silent, is_counted and 1 or 0, found }
end
return { silent, is_counted and 1 or 0, found, scored[#scored], scored[#scored - 1] }
