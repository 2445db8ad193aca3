-- Moves the markers of one bucket on, where the bucket has everything that was merged into it for that, and tells up to
-- which time it is complete.
--
-- KEYS[1] applied hash of the bucket   KEYS[2] asof hash of the bucket
-- KEYS[3..] notes of the calls that the bucket took, one a merge (calls.lua)
-- ARGV[1] msgpack array: how many calls were acknowledged, one number for each of KEYS[3..]
-- ARGV[2] msgpack array of {field, offset where it must stand at least, offset to move it to}
-- ARGV[3] what the fields of a topic begin with   ARGV[4] msgpack {partitions, asked ms, {{partition, offset, ms}, ...}}:
--         how many partitions it had when the broker was asked, and that one whose marker stands at the offset is
--         complete up to a time; or ''
--
-- Returns 1 where the markers stand as asked, 0 where something acknowledged is missing: then nothing is changed.
-- Cost: O(keys + fields); where the topic has grown, O(partitions). Safe to repeat.

local acknowledged, fields = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local APPLIED, AS_OF, HEAD, SLICE = KEYS[1], KEYS[2], ARGV[3], 1000
local FIELD, AT_LEAST, TARGET = 1, 2, 3
local NOTES = 3 -- the first of KEYS that is one

local function decimal(number)
  return string.format('%.0f', number)
end

local function marker(field)
  return tonumber(redis.call('HGET', APPLIED, field) or -1)
end

-- In slices: Lua unpacks no more than some thousands.
local function set(key, words)
  for i = 1, #words, SLICE do
    redis.call('HSET', key, unpack(words, i, math.min(i + SLICE - 1, #words)))
  end
end

-- What is in a partition that is new came after all that is told of those there were before: it is complete as they are.
local function count_partitions(partitions, asked)
  local known = redis.call('HMGET', AS_OF, HEAD .. 'partitions', HEAD .. 'asked')
  if known[2] and tonumber(known[2]) >= asked then
    return
  end
  local before, least = tonumber(known[1] or partitions), nil
  for number = 0, before < partitions and before - 1 or -1 do
    local ms = tonumber(redis.call('HGET', AS_OF, HEAD .. number) or 0)
    least = least and math.min(least, ms) or ms
  end
  for number = before, partitions - 1 do
    redis.call('HSET', AS_OF, HEAD .. number, decimal(least or 0))
  end
  redis.call('HSET', AS_OF, HEAD .. 'partitions', partitions, HEAD .. 'asked', decimal(asked))
end

local function tell_time(partitions, asked, reached)
  count_partitions(partitions, asked)
  local told = {}
  for _, of in ipairs(reached) do
    local field, offset, ms = HEAD .. of[1], of[2], of[3]
    if marker(field) >= offset then
      told[#told + 1] = field
      told[#told + 1] = decimal(ms)
    end
  end
  set(AS_OF, told)
end

local behind, lost = {}, false
for _, field in ipairs(fields) do
  local stored = marker(field[FIELD])
  lost = lost or stored < field[AT_LEAST]
  if stored < field[TARGET] then
    behind[#behind + 1] = field[FIELD]
    behind[#behind + 1] = decimal(field[TARGET])
  end
end
if #behind > 0 then
  for i, count in ipairs(acknowledged) do
    lost = lost or redis.call('BITCOUNT', KEYS[NOTES + i - 1]) < count
  end
end
if lost then
  return 0
end
set(APPLIED, behind)
if ARGV[4] ~= '' then
  tell_time(unpack(cmsgpack.unpack(ARGV[4])))
end
for i = NOTES, #behind > 0 and #KEYS or 0 do
  redis.call('UNLINK', KEYS[i])
end
return 1
