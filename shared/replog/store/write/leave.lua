-- include: write/order.lua
-- include: write/calls.lua
-- include: write/activity.lua
-- include: write/off.lua
-- include: write/generation.lua
-- Takes one record off the list of a task that is none of its tasks any more, for smaller keys have pushed it out.
--
-- KEYS[1] task hash   KEYS[2] tasktime zset   KEYS[3] taskstat lex zset   KEYS[4] calls string (as in merge.lua)
-- KEYS[5] tasks lex zset   KEYS[6] moved string   KEYS[7] left zset   KEYS[8] listed hash   KEYS[9] listedat zset
-- (of the bucket)
-- ARGV[1] the record's id   ARGV[2] number of this call among those that the bucket gets of this merge
-- ARGV[3] the task's key   ARGV[4] time now, ms   ARGV[5] generation of the record
--
-- That it left is remembered in `left`: a writer that was slower must not put it back.
-- Where the list has a later generation, it has not left.
-- Returns 1 where it was on the list, else 0. Cost: O(log(records of the task) + log(tasks of the bucket)).
-- Safe to repeat.

local TASK, TIME, STATUS, TASKS, MOVED, ID, KEY = KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], ARGV[1], ARGV[3]
note_call(KEYS[4], ARGV[2])
if greater(generations_of(KEYS[8], KEY, { ID })[1], ARGV[5]) then
  return 0
end
if ARGV[5] ~= '' then
  -- Also where it is noted: the note must stay as long as the other one.
  note_generation(KEYS[8], KEYS[9], KEY, ID, ARGV[5], ARGV[4])
end
redis.call('ZADD', KEYS[7], ARGV[4], KEY .. '\0' .. ID)
local stored, was = unpack(redis.call('HMGET', TASK, ID, INDEXED))
if not stored then
  return 0
end
take_off(ID, cmsgpack.unpack(stored), was, TASK, TIME, STATUS, TASKS, MOVED, KEY)
return 1
