-- The tasks of a bucket behind some heads of its index of tasks: how many, and the greatest entries.
--
-- KEYS[1] tasks lex zset   KEYS[2] moved string
-- ARGV[1] msgpack array of heads, at most 3   ARGV[2] most entries to read, at most 1000
--
-- Returns {counter of the bucket or nil, number of entries, {entry, ...}}, head by head, descending behind each.
-- Cost: O(heads * log(tasks of the bucket) + entries). Only reads.

local number, found, left = 0, {}, tonumber(ARGV[2])
for _, head in ipairs(cmsgpack.unpack(ARGV[1])) do
  local low, high = '[' .. head, '(' .. head .. '\255'
  number = number + redis.call('ZLEXCOUNT', KEYS[1], low, high)
  if left > 0 then
    for _, entry in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[1], high, low, 'LIMIT', 0, left)) do
      found[#found + 1] = entry
      left = left - 1
    end
  end
end
return { redis.call('GET', KEYS[2]), number, found }
