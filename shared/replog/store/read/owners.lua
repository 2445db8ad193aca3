-- The tasks of many records.
--
-- KEYS[1], KEYS[2], ... record hashes, at most 128
--
-- Returns {msgpack of the task keys that the record was published with or nil, ...}.
-- Cost: O(records), about 1 us a record; at most 8 KiB each. Only reads.

local tasks = {}
for i, key in ipairs(KEYS) do
  tasks[i] = redis.call('HGET', key, 'tasks')
end
return tasks
