-- include: read/within.lua
-- Some of the newest records of each of many tasks, with what their lists hold of them.
--
-- KEYS[1] task hash and KEYS[2] tasktime zset of the first task, KEYS[3] and KEYS[4] of the second, ...
-- ARGV[1] offset   ARGV[2] limit; as many as 1000 records of all tasks together   ARGV[3] bytes of values after which no
-- more are read
--
-- Returns four arrays, in the order of the tasks: the counter of the list or nil, the number of its records, {id, ...},
-- {value, ...}: values of the first ids alone where all are more than the bytes.
-- Cost: O(tasks * log(records of a task) + records read + bytes), 3 us a task and 1 us a record. Only reads.

local offset, limit, left = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- Redis writes the number of an argument as text for each command.
local last = string.format('%d', offset + limit - 1)
local counters, totals, ids, values = {}, {}, {}, {}

for i = 1, #KEYS, 2 do
  local task, found = (i + 1) / 2, redis.call('ZREVRANGE', KEYS[i + 1], ARGV[1], last)
  ids[task], values[task] = found, {}
  -- A list that ends before the limit has been counted.
  local ends = #found < limit and (#found > 0 or offset == 0)
  totals[task] = ends and offset + #found or redis.call('ZCARD', KEYS[i + 1])
  if #found == 0 or left <= 0 then
    counters[task] = redis.call('HGET', KEYS[i], '')
  else
    -- The first value comes with the counter, and tells whether the others may be wide.
    local counter, first = unpack(redis.call('HMGET', KEYS[i], '', found[1]))
    local size, used = first and #first or 0, 0
    counters[task], values[task] = counter, { first }
    if #found > 1 then
      values[task], used = values_within(KEYS[i], found, left - size, size > WIDE, { first })
    end
    left = left - size - used
  end
end
return { counters, totals, ids, values }
