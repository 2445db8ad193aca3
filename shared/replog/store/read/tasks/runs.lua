-- include: read/within.lua
-- Some of the newest records of each of many tasks, with what their lists hold of them.
--
-- KEYS[1] task hash and KEYS[2] tasktime zset of the first task, KEYS[3] and KEYS[4] of the second, ...
-- ARGV[1] offset   ARGV[2] limit; as many as 1000 records of all tasks together   ARGV[3] bytes of values after which no
-- more are read
--
-- Returns {counter of the task's list or nil, records of the task, {id, ...}, {value, ...}} for each task: values of the
-- first ids alone where all are more than the bytes, and of one at least.
-- Cost: O(tasks * log(records of a task) + records read + bytes), 5 us a task and 1 us a record. Only reads.

local offset, limit, left, tasks = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), {}
for i = 1, #KEYS, 2 do
  local ids = redis.call('ZREVRANGE', KEYS[i + 1], offset, offset + limit - 1)
  local values = values_within(KEYS[i], ids, math.max(left, 1), left <= 0)
  for _, value in ipairs(values) do
    left = left - (value and #value or 0)
  end
  tasks[#tasks + 1] = { redis.call('HGET', KEYS[i], ''), redis.call('ZCARD', KEYS[i + 1]), ids, values }
end
return tasks
