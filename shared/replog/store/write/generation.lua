-- Put before each script that changes what a task's list has of a record. An erasure begins a new *generation* of a
-- record: the time up to which it is erased, 9 bytes, or '' where it never was. A list holds a record of one generation,
-- and nothing of an earlier one comes back into it, however late a writer is.
--
-- Include write/order.lua before this.

-- Which generations the list of the task `key` has of the records `ids`, '' where none is noted. What is noted is
-- asked for only where there is any: `listed` is the bucket's hash.
local function generations_of(listed, key, ids)
  local found, fields = {}, {}
  for i, id in ipairs(ids) do
    found[i], fields[i] = '', key .. '\0' .. id
  end
  if #ids > 0 and redis.call('EXISTS', listed) == 1 then
    for i, generation in ipairs(redis.call('HMGET', listed, unpack(fields))) do
      found[i] = generation or ''
    end
  end
  return found
end

-- Notes that the list of the task `key` has this generation of the record.
local function note_generation(listed, listed_at, key, id, generation, now)
  local field = key .. '\0' .. id
  redis.call('HSET', listed, field, generation)
  redis.call('ZADD', listed_at, now, field)
end
