-- include: write/order.lua
-- include: write/calls.lua
-- include: write/layout.lua
-- Forgets one record, with its details, indexes and sums, and remembers up to which time it is erased.
--
-- KEYS[1] to KEYS[6] the record's keys   KEYS[7] due zset   KEYS[8] running zset   KEYS[9] unfinished set
-- KEYS[10] leaving hash   KEYS[11] calls string (as in merge.lua)   KEYS[12] erased hash   KEYS[13] erasedat zset
-- KEYS[14] relisting hash   KEYS[15] restoring hash   KEYS[16] layout string   KEYS[17] outbox lex zset   (of the bucket)
-- ARGV[1] the record's id   ARGV[2] up to which time it is erased, 9 bytes   ARGV[3] the same in ms, rounded down
-- ARGV[4] time now, ms   ARGV[5] number of this call among those that the bucket gets of this merge
-- ARGV[6] mark of the writer's layout
--
-- All of the record goes, also where it has later events: of a register that an erased event has won, the store does not
-- know what a later one offered. That there may be later events is noted in `restoring`: they are read from the topic
-- again. What the tasks' lists may hold of the record is noted in `relisting`, until relisted.lua. Its outcomes in the
-- outbox go, too, also where retention has removed the record itself.
--
-- Returns {effect of the erasure, up to which time the record is erased now, note in `relisting`, or ''}.
-- Cost: O(task keys + outcomes in the outbox); Redis frees the memory in the background. Safe to repeat.

local RECORD, DUE, LEAVING, ERASED, RELISTING, RESTORING = KEYS[1], KEYS[7], KEYS[10], KEYS[12], KEYS[14], KEYS[15]
local OUTBOX = KEYS[17]
local ID, TIME, MS, NOW = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- Task keys whose lists may hold the record: its own, and those of whatever died before it was done with them.
local function tasks_of(own, gone)
  local noted, leaving = redis.call('HGET', RELISTING, ID), redis.call('HGET', LEAVING, ID)
  local parts = {
    own and cmsgpack.unpack(own) or {},
    gone and cmsgpack.unpack(gone) or {},
    noted and cmsgpack.unpack(noted)[2] or {},
    leaving and cmsgpack.unpack(leaving)[3] or {},
  }
  if leaving then
    redis.call('HDEL', LEAVING, ID)
  end
  local tasks, seen = {}, {}
  for _, part in ipairs(parts) do
    for _, task in ipairs(part) do
      if not seen[task] then
        seen[task] = true
        tasks[#tasks + 1] = task
      end
    end
  end
  return tasks
end

local function forget()
  -- First, because it is refused where the key is of another type: then nothing has changed. Entries begin with the
  -- record's id and a NUL, which no id has.
  redis.call('ZREMRANGEBYLEX', OUTBOX, '[' .. ID .. '\0', '(' .. ID .. '\1')
  local due = redis.call('ZSCORE', DUE, ID)
  local own, gone, ahead = unpack(redis.call('HMGET', RECORD, 'tasks', 'gone', 'ahead'))
  local tasks = tasks_of(own, gone)
  if #tasks > 0 then
    redis.call('HSET', RELISTING, ID, cmsgpack.pack({ TIME, tasks }))
  end
  if not due then
    return
  end
  if math.max(tonumber(due), tonumber(ahead or due)) >= tonumber(MS) then
    redis.call('HSET', RESTORING, ID, TIME)
  end
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
  redis.call('ZREM', DUE, ID)
  redis.call('ZREM', KEYS[8], ID)
  redis.call('SREM', KEYS[9], ID)
end

note_call(KEYS[11], ARGV[5])
local known, effect = redis.call('HGET', ERASED, ID) or '', SUPERSEDED
if known == TIME then
  effect = DUPLICATE
elseif greater(TIME, known) then
  forget()
  redis.call('HSET', ERASED, ID, TIME)
  redis.call('ZADD', KEYS[13], NOW, ID)
  mark_layout(KEYS[16], ARGV[6])
  known, effect = TIME, APPLIED
end
return { effect, known, redis.call('HGET', RELISTING, ID) or '' }
