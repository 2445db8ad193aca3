-- Takes one removed record off a task's list, unless it has come back since; and with the last one the task.
--
-- KEYS[1] task hash   KEYS[2] tasktime zset   KEYS[3] taskstat lex zset
-- KEYS[4] tasks lex zset   KEYS[5] moved string   (of the bucket)
-- ARGV[1] the record's id   ARGV[2] its start register and ARGV[3] its outcome register when it was removed
-- ARGV[4] the task's key
--
-- Returns 1 where it was on the list, else 0. Cost: O(log(records of the task) + log(tasks of the bucket)).
-- Safe to repeat.

local TASK, TIME, STATUS, TASKS, ID, KEY = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[4]
local stored, was = unpack(redis.call('HMGET', TASK, ID, INDEXED))
if not stored then
  return 0
end
local start, outcome = unpack(cmsgpack.unpack(stored))
if start ~= ARGV[2] or outcome ~= ARGV[3] then
  return 0
end
redis.call('INCR', KEYS[5])
-- Asked first: in a slot on the move, a script may not touch a key that it has emptied.
if redis.call('ZCARD', TIME) == 1 then
  move_task(TASKS, KEY, was, nil)
  redis.call('UNLINK', TASK, TIME, STATUS)
  return 1
end
redis.call('HDEL', TASK, ID)
redis.call('ZREM', TIME, ID)
redis.call('ZREM', STATUS, string.sub(outcome, -1) .. index_time(start_ms(start)) .. ID)
redis.call('HINCRBY', TASK, '', 1)
local latest = redis.call('HGET', TASK, redis.call('ZREVRANGE', TIME, 0, 0)[1])
local place = place_of(cmsgpack.unpack(latest)[2])
if was ~= place then
  move_task(TASKS, KEY, was, place)
  redis.call('HSET', TASK, INDEXED, place)
end
return 1
