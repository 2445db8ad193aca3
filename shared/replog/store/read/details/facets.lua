-- What a search by pairs begins with: how many there are, and where they are few, all of them with their counts.
--
-- KEYS[1] record hash   KEYS[2] pairs lex zset
-- ARGV[1] first member of pairs, included, and ARGV[2] the last, excluded, as bounds of ZRANGEBYLEX
-- ARGV[3] fields of the record's hash that are few, at most 1000
-- ARGV[4] what stands behind the cluster of a pair that is wanted, '' for anything
-- ARGV[5] clusters within the bounds that are few   ARGV[6], ... fields of the record to be read in any case
--
-- Returns {{value or nil, ...} of these, pairs in all, pairs before the bounds, pairs within the bounds,
--          {cluster, pairs of it that are wanted, ...} or nil, {member of pairs, ...}, {field of the record, value, ...}}:
-- the last two empty where the fields are too many; the clusters nil where these are not, where ARGV[4] is empty, and
-- where the clusters are too many. Those without a wanted pair are left out.
-- Cost: O(log(pairs) + fields + clusters * log(pairs)), some 8 us a cluster. Only reads.

local RECORD, PAIRS = KEYS[1], KEYS[2]

-- Goes from cluster to cluster, however many pairs each has.
local function wanted_by_cluster(low, high, start, most)
  local found = {}
  for _ = 1, most do
    local member = redis.call('ZRANGEBYLEX', PAIRS, low, high, 'LIMIT', 0, 1)[1]
    if not member then
      return found
    end
    local cluster = string.match(member, '^[^%z]*%z')
    local first = cluster .. start
    local wanted = redis.call('ZLEXCOUNT', PAIRS, '[' .. first, '(' .. first .. '\255')
    if wanted > 0 then
      found[#found + 1], found[#found + 2] = string.sub(cluster, 1, -2), wanted
    end
    low = '(' .. cluster .. '\255'
  end
  return redis.call('ZLEXCOUNT', PAIRS, low, high) == 0 and found
end

local few = redis.call('HLEN', RECORD) <= tonumber(ARGV[3])
-- A bound that is included here ends there what lies before it.
local before = '(' .. string.sub(ARGV[1], 2)
return {
  redis.call('HMGET', RECORD, unpack(ARGV, 6)),
  redis.call('ZCARD', PAIRS),
  redis.call('ZLEXCOUNT', PAIRS, '-', before),
  redis.call('ZLEXCOUNT', PAIRS, ARGV[1], ARGV[2]),
  not few and ARGV[4] ~= '' and wanted_by_cluster(ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])),
  few and redis.call('ZRANGE', PAIRS, 0, -1) or {},
  few and redis.call('HGETALL', RECORD) or {},
}
