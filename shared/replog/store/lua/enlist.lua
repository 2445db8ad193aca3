-- Joins the start and outcome of records into one task's list of records, and indexes the task by its latest record.
--
-- KEYS[1] task hash   KEYS[2] tasktime zset   KEYS[3] taskstat lex zset   KEYS[4] calls string (as in merge.lua)
-- KEYS[5] active lex zset   KEYS[6] named lex zset   KEYS[7] moved string   (of the bucket)
-- ARGV[1] msgpack array of records, each {id, start register, outcome register}
-- ARGV[2] number of this call among those that the bucket gets of this merge   ARGV[3] the task's key
--
-- Returns the number of records that changed. Cost: O(records * log(records of the task) + log(tasks of the bucket)).
-- Safe to repeat: what is not greater than the state changes nothing.

local TASK, TIME, STATUS = KEYS[1], KEYS[2], KEYS[3]
local INDEX = { task = TASK, time = TIME, active = KEYS[5], named = KEYS[6] }
local REGISTERS = 2

local function status_entry(id, state)
  return string.sub(state[2], -1) .. index_time(start_ms(state[1])) .. id
end

local function enlist(incoming)
  local id = table.remove(incoming, 1)
  local stored = redis.call('HGET', TASK, id)
  local state = stored and cmsgpack.unpack(stored) or { '', '' }
  local before = stored and status_entry(id, state)
  if join(state, incoming, 1, REGISTERS) ~= APPLIED then
    return 0
  end
  local after = status_entry(id, state)
  -- Adds first: in a slot on the move, a script may not touch a key that it has emptied.
  redis.call('ZADD', STATUS, 0, after)
  if before and before ~= after then
    redis.call('ZREM', STATUS, before)
  end
  redis.call('ZADD', TIME, decimal(start_ms(state[1])), id)
  redis.call('HSET', TASK, id, cmsgpack.pack(state))
  return 1
end

note_call(KEYS[4], ARGV[2])
local changed = 0
for _, incoming in ipairs(cmsgpack.unpack(ARGV[1])) do
  changed = changed + enlist(incoming)
end
if changed > 0 then
  redis.call('HINCRBY', TASK, '', 1)
end
-- Always: a list may have been made, or changed, before there were indexes.
if index_task(INDEX, ARGV[3], latest_outcome(INDEX)) or changed > 0 then
  redis.call('INCR', KEYS[7])
end
return changed
