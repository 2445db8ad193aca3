-- Notes of erased records that their later events have to be read from the topic again, unless nothing is known of their
-- erasure.
--
-- KEYS[1] erased hash   KEYS[2] restoring hash   (of the bucket)   ARGV ids of records, at most 500
--
-- Returns how many records are noted. Cost: O(records). Safe to repeat.

local noted = 0
for _, id in ipairs(ARGV) do
  local generation = redis.call('HGET', KEYS[1], id)
  if generation then
    redis.call('HSET', KEYS[2], id, generation)
    noted = noted + 1
  end
end
return noted
