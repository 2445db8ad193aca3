-- The record ids of one page of a task's records, newest first, of one status or all.
--
-- KEYS[1] tasktime zset   KEYS[2] taskstat lex zset
-- ARGV[1] offset   ARGV[2] limit, at most 1000   ARGV[3] status letter, or ''
--
-- Returns {1 where the task is known, total, {id, ...}}.
-- Cost: O(log(records of the task) + limit). Only reads.

local TIME_BYTES = 7
local offset, limit, status = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local known = redis.call('EXISTS', KEYS[1])
if status == '' then
  return { known, redis.call('ZCARD', KEYS[1]), redis.call('ZREVRANGE', KEYS[1], offset, offset + limit - 1) }
end

local total = redis.call('ZLEXCOUNT', KEYS[2], '[' .. status, '(' .. status .. '\255')
local newest = redis.call('ZLEXCOUNT', KEYS[2], '-', '(' .. status .. '\255') - 1
limit = math.min(limit, total - offset)
local ids = {}
if limit > 0 then
  local from = newest - offset
  for i, entry in ipairs(redis.call('ZRANGE', KEYS[2], from - limit + 1, from)) do
    ids[limit - i + 1] = string.sub(entry, #status + TIME_BYTES + 1)
  end
end
return { known, total, ids }
