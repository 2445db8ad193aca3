-- Put before each script that takes records off a task's list.

-- Takes the record `id` off the list, of which these are the keys: the list has `state` of it, and the task is indexed
-- under `was`. With the last record goes the task.
local function take_off(id, state, was, task, time, status, tasks, moved, key)
  redis.call('INCR', moved)
  -- Asked first: in a slot on the move, a script may not touch a key that it has emptied.
  if redis.call('ZCARD', time) == 1 then
    move_task(tasks, key, was, nil)
    redis.call('UNLINK', task, time, status)
    return
  end
  redis.call('HDEL', task, id)
  redis.call('ZREM', time, id)
  redis.call('ZREM', status, string.sub(state[2], -1) .. index_time(start_ms(state[1])) .. id)
  redis.call('HINCRBY', task, '', 1)
  local latest = redis.call('HGET', task, redis.call('ZREVRANGE', time, 0, 0)[1])
  local place = place_of(cmsgpack.unpack(latest)[2])
  if was ~= place then
    move_task(tasks, key, was, place)
    redis.call('HSET', task, INDEXED, place)
  end
end
