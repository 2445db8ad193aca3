-- Notes of records that their tasks' lists are up to date, unless another merge has found them behind since.
--
-- KEYS record hashes of one bucket, at most 100   ARGV[1] era of the writer   ARGV[2] id of its merge
--
-- Returns how many were noted. Cost: O(records). Safe to repeat; where it is lost, the lists are brought up once more.

local behind, left, noted = '?' .. ARGV[2], '!' .. ARGV[2], 0
for _, record in ipairs(KEYS) do
  local lists = redis.call('HGET', record, 'lists')
  if lists == behind or lists == left then
    redis.call('HSET', record, 'lists', ARGV[1])
    if lists == left then
      redis.call('HDEL', record, 'gone')
    end
    noted = noted + 1
  end
end
return noted
