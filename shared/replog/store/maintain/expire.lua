-- Drops what was written too long ago from a hash whose fields have their times in a sorted set.
--
-- KEYS[1] zset: the hash's fields, score = when they were written, in ms   KEYS[2] hash   (of the bucket)
-- ARGV[1] the last ms that is too long ago   ARGV[2] how many fields at most
--
-- Returns how many went. Cost: O(fields that go * log(fields)). Safe to repeat.

local fields = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #fields > 0 then
  redis.call('ZREM', KEYS[1], unpack(fields))
  redis.call('HDEL', KEYS[2], unpack(fields))
end
return #fields
