-- include: write/order.lua
-- include: write/activity.lua
-- include: write/off.lua
-- include: write/generation.lua
-- Takes one removed record off a task's list, unless it has come back since; and with the last one the task.
--
-- KEYS[1] task hash   KEYS[2] tasktime zset   KEYS[3] taskstat lex zset
-- KEYS[4] tasks lex zset   KEYS[5] moved string   KEYS[6] listed hash   (of the bucket)
-- ARGV[1] the record's id   ARGV[2] its start register and ARGV[3] its outcome register when it was removed
-- ARGV[4] the task's key   ARGV[5] generation of the record when it was removed
--
-- Returns 1 where it was on the list, else 0. Cost: O(log(records of the task) + log(tasks of the bucket)).
-- Safe to repeat.

local TASK, TIME, STATUS, TASKS, MOVED, ID, KEY = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1], ARGV[4]
if greater(generations_of(KEYS[6], KEY, { ID })[1], ARGV[5]) then
  return 0
end
local stored, was = unpack(redis.call('HMGET', TASK, ID, INDEXED))
if not stored then
  return 0
end
local state = cmsgpack.unpack(stored)
-- The list may have been behind when the record was removed.
if greater(state[1], ARGV[2]) or greater(state[2], ARGV[3]) then
  return 0
end
take_off(ID, state, was, TASK, TIME, STATUS, TASKS, MOVED, KEY)
return 1
