-- include: read/within.lua
-- One page of a record's details, newest first, without a filter.
--
-- KEYS[1] record hash   KEYS[2] details hash   KEYS[3] time zset
-- ARGV[1] offset   ARGV[2] limit, at most 1000   ARGV[3] bytes of stored details after which no more are read
--
-- Returns {1 where the record exists, total, {id, ...}, {stored detail, ...}}: of the first ids alone where all are more
-- than the bytes, and of one at least.
-- Cost: O(log(details of the record) + limit + bytes). Only reads.

local known = redis.call('EXISTS', KEYS[1])
local total = redis.call('ZCARD', KEYS[3])
local offset = tonumber(ARGV[1])
local ids = redis.call('ZREVRANGE', KEYS[3], offset, offset + ARGV[2] - 1)
return { known, total, ids, values_within(KEYS[2], ids, tonumber(ARGV[3]), false) }
