-- One page of a record's details, newest first, without a filter.
--
-- KEYS[1] record hash   KEYS[2] details hash   KEYS[3] time zset
-- ARGV[1] offset   ARGV[2] limit, at most 1000
--
-- Returns {1 where the record exists, total, {id, ...}, {stored detail, ...}}.
-- Cost: O(log(details of the record) + limit). Only reads.

local known = redis.call('EXISTS', KEYS[1])
local total = redis.call('ZCARD', KEYS[3])
local offset = tonumber(ARGV[1])
local ids = redis.call('ZREVRANGE', KEYS[3], offset, offset + ARGV[2] - 1)
if #ids == 0 then
  return { known, total, {}, {} }
end
return { known, total, ids, redis.call('HMGET', KEYS[2], unpack(ids)) }
