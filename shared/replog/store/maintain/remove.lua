-- Removes one record with all that belongs to it, where its time has come.
--
-- KEYS[1] to KEYS[6] the record's keys   KEYS[7] due zset   KEYS[8] removed zset   KEYS[9] leaving hash
-- KEYS[10] running zset   KEYS[11] unfinished set   KEYS[12] claimed hash   KEYS[13] erased hash
-- ARGV[1] the record's id
-- ARGV[2] msgpack map: status letter -> its last event must be older than this, ms
-- ARGV[3] the same where the record itself was never seen   ARGV[4] nothing may have been written since, ms
-- ARGV[5] time now, ms: what is due later than that, as versions before this one have it where events were dated ahead,
--         becomes due by when it was written
--
-- Returns 1 where it was removed, 2 where it is due earlier now, else 0. What its tasks' lists still hold of it is noted
-- in `leaving`, and what events claimed beyond when they were written in `claimed`.
-- Cost: O(1) for who waits; Redis frees the memory in the background. Safe to repeat.

local RECORD, DUE, REMOVED, LEAVING, ID = KEYS[1], KEYS[7], KEYS[8], KEYS[9], ARGV[1]
local last = redis.call('ZSCORE', DUE, ID)
if not last then
  return 0
end
local fields = { 'start', 'outcome', 'tasks', 'w', 'ahead', 'gone' }
local start, outcome, tasks, written, ahead, gone = unpack(redis.call('HMGET', RECORD, unpack(fields)))
if tonumber(last) > tonumber(ARGV[5]) and written and tonumber(written) <= tonumber(ARGV[5]) then
  redis.call('HSET', RECORD, 'ahead', string.format('%.0f', math.max(last, ahead or last)))
  redis.call('ZADD', DUE, written, ID)
  return 2
end
local horizon = outcome and cmsgpack.unpack(ARGV[2])[string.sub(outcome, -1)] or tonumber(ARGV[3])
if tonumber(last) >= horizon or tonumber(written or 0) >= tonumber(ARGV[4]) then
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('ZREM', DUE, ID)
redis.call('ZREM', KEYS[10], ID)
redis.call('SREM', KEYS[11], ID)
redis.call('ZADD', REMOVED, last, ID)
if ahead then
  redis.call('HSET', KEYS[12], ID, ahead)
end
if tasks then
  tasks = cmsgpack.unpack(tasks)
  for _, task in ipairs(gone and cmsgpack.unpack(gone) or {}) do
    tasks[#tasks + 1] = task
  end
  -- The fourth is there only of a record that was erased before: versions that know no erasures read three.
  local generation = redis.call('HGET', KEYS[13], ID) or nil
  redis.call('HSET', LEAVING, ID, cmsgpack.pack({ start, outcome, tasks, generation }))
end
return 1
