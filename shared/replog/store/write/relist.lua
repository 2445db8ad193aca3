-- include: write/order.lua
-- include: write/calls.lua
-- include: write/activity.lua
-- include: write/off.lua
-- include: write/generation.lua
-- Takes off a task's list what it has of a record from before an erasure; what the record was made anew since stays.
--
-- KEYS[1] task hash   KEYS[2] tasktime zset   KEYS[3] taskstat lex zset   KEYS[4] calls string (as in merge.lua)
-- KEYS[5] tasks lex zset   KEYS[6] moved string   KEYS[7] left zset   KEYS[8] listed hash   KEYS[9] listedat zset
-- (of the bucket)
-- ARGV[1] the record's id   ARGV[2] number of this call among those that the bucket gets of this merge
-- ARGV[3] the task's key   ARGV[4] time now, ms   ARGV[5] generation of the record
--
-- Returns 1 where it was on the list, else 0. Cost: O(log(records of the task) + log(tasks of the bucket)).
-- Safe to repeat.

local TASK, TIME, STATUS, TASKS, MOVED, ID, KEY = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], ARGV[1], ARGV[3]
note_call(KEYS[4], ARGV[2])
if not greater(ARGV[5], generations_of(KEYS[8], KEY, { ID })[1]) then
  return 0
end
note_generation(KEYS[8], KEYS[9], KEY, ID, ARGV[5], ARGV[4])
redis.call('ZREM', KEYS[7], KEY .. '\0' .. ID)
local stored, was = unpack(redis.call('HMGET', TASK, ID, INDEXED))
if not stored then
  return 0
end
take_off(ID, cmsgpack.unpack(stored), was, TASK, TIME, STATUS, TASKS, MOVED, KEY)
return 1
