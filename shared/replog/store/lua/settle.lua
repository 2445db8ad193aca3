-- Notes of records that their tasks' lists are up to date, unless another merge has found them behind since.
--
-- KEYS record hashes of one bucket, at most 100   ARGV[1] era of the writer   ARGV[2] id of its merge
--
-- Returns how many were noted. Cost: O(records). Safe to repeat; where it is lost, the lists are brought up once more.

local noted = 0
for _, record in ipairs(KEYS) do
  if redis.call('HGET', record, 'lists') == '?' .. ARGV[2] then
    redis.call('HSET', record, 'lists', ARGV[1])
    redis.call('HDEL', record, 'gone')
    noted = noted + 1
  end
end
return noted
