-- What a search by pairs begins with: how many there are, and where they are few, all of them with their counts.
--
-- KEYS[1] record hash   KEYS[2] pairs lex zset
-- ARGV[1] first member of pairs, included, and ARGV[2] the last, excluded, as bounds of ZRANGEBYLEX
-- ARGV[3] fields of the record's hash that are few, at most 1000   ARGV[4], ... fields to be read in any case
--
-- Returns {{value or nil, ...} of these, pairs in all, pairs before the bounds, pairs within the bounds,
--          {member of pairs, ...}, {field of the record, value, ...}}, the last two empty where the fields are too many.
-- Cost: O(log(pairs) + fields). Only reads.

local RECORD, PAIRS = KEYS[1], KEYS[2]
local few = redis.call('HLEN', RECORD) <= tonumber(ARGV[3])
-- A bound that is included here ends there what lies before it.
local before = '(' .. string.sub(ARGV[1], 2)
return {
  redis.call('HMGET', RECORD, unpack(ARGV, 4)),
  redis.call('ZCARD', PAIRS),
  redis.call('ZLEXCOUNT', PAIRS, '-', before),
  redis.call('ZLEXCOUNT', PAIRS, ARGV[1], ARGV[2]),
  few and redis.call('ZRANGE', PAIRS, 0, -1) or {},
  few and redis.call('HGETALL', RECORD) or {},
}
