-- Notes of erased records that no task's list holds what they were before, unless another erasure has come since.
--
-- KEYS[1] relisting hash of a bucket   ARGV in pairs: the record's id, and the note as it was read
--
-- Returns how many notes went. Cost: O(records). Safe to repeat.

local gone = {}
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    gone[#gone + 1] = ARGV[i]
  end
end
return #gone > 0 and redis.call('HDEL', KEYS[1], unpack(gone)) or 0
