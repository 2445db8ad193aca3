-- The tasks of a bucket behind some heads of its index of tasks: how many, and the greatest entries.
--
-- KEYS[1] tasks lex zset   KEYS[2] moved string
-- ARGV[1] msgpack array of heads, at most 3   ARGV[2] most entries to read, at most 1000   ARGV[3] 1 to read none where
-- there are more
--
-- Returns {counter of the bucket or nil, number of entries, {entry, ...}}, head by head, descending behind each.
-- Cost: O(heads * log(tasks of the bucket) + entries). Only reads.

local ranges, number, found, left = {}, 0, {}, tonumber(ARGV[2])
for i, head in ipairs(cmsgpack.unpack(ARGV[1])) do
  local low, high = '[' .. head, '(' .. head .. '\255'
  local of_head = redis.call('ZLEXCOUNT', KEYS[1], low, high)
  ranges[i] = { low, high, of_head }
  number = number + of_head
end
if ARGV[3] == '1' and number > left then
  left = 0
end
for _, range in ipairs(ranges) do
  if left > 0 and range[3] > 0 then
    for _, entry in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[1], range[2], range[1], 'LIMIT', 0, left)) do
      found[#found + 1] = entry
      left = left - 1
    end
  end
end
return { redis.call('GET', KEYS[2]), number, found }
