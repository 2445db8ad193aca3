-- Edits keys of one record, or of one task's list, where nothing was written to it since they were examined.
--
-- KEYS[1] the hash that has the version   KEYS[2..] the keys that are edited, of the same bucket
-- ARGV[1] field of the version   ARGV[2] its value when the keys were examined, or ''
-- ARGV[3] msgpack array of edits, at most 500: {place in KEYS, verb, words ...}
--
-- Returns 1 where the edits were made, 0 where the version is another. The version moves, so that readers notice.
-- Cost: O(edits * log(entries)). Safe to repeat: the second time, the version is another.

local edits = {
  zadd = function(key, score, member)
    redis.call('ZADD', key, score, member)
  end,
  zrem = function(key, member)
    redis.call('ZREM', key, member)
  end,
  hset = function(key, field, value)
    redis.call('HSET', key, field, value)
  end,
  hdel = function(key, field)
    redis.call('HDEL', key, field)
  end,
  sadd = function(key, member)
    redis.call('SADD', key, member)
  end,
  srem = function(key, member)
    redis.call('SREM', key, member)
  end,
}

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
for _, edit in ipairs(cmsgpack.unpack(ARGV[3])) do
  edits[edit[2]](KEYS[edit[1]], edit[3], edit[4])
end
if ARGV[2] ~= '' then
  redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
end
return 1
