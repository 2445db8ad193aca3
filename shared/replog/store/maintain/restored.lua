-- Notes of an erased record that its later events are in the store again, unless another erasure has come since.
--
-- KEYS[1] restoring hash of the bucket   ARGV[1] the record's id   ARGV[2] its generation, as it was read
--
-- Returns 1 where the note went, else 0. Cost: O(1). Safe to repeat.

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
return redis.call('HDEL', KEYS[1], ARGV[1])
