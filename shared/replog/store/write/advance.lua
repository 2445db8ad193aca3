-- Moves the checkpoints of one bucket on, if the bucket still has every call that was merged into it for that, and saves
-- the time up to which it is complete.
--
-- KEYS[1] applied hash of the bucket   KEYS[2] asof hash of the bucket
-- KEYS[3..] notes of the calls that the bucket took, one a merge (calls.lua)
-- ARGV[1] msgpack array: how many calls were acknowledged, one number for each of KEYS[3..]
-- ARGV[2] msgpack array of {field, offset where it must stand at least, offset to move it to}
-- ARGV[3] group and topic, as the fields begin   ARGV[4] msgpack {partitions, asked ms, {{partition, offset, ms}, ...}}:
--         how many partitions the topic had when the broker was asked, and that one whose checkpoint is at the offset is
--         complete up to a time; or ''
--
-- Returns 1 where the checkpoints stand as asked, 2 where they do and what asof held could not be read and was made anew,
-- 0 where something acknowledged is missing: then nothing is changed. A checkpoint that is no number is missing.
-- Cost: O(keys + fields + partitions). Safe to repeat.

local acknowledged, fields = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local APPLIED, AS_OF, TOPIC, SLICE = KEYS[1], KEYS[2], ARGV[3], 1000
local FIELD, AT_LEAST, TARGET = 1, 2, 3
local NOTES = 3 -- the first of KEYS that is one

-- The offset of a checkpoint; -1 where there is none, or something else.
local function offset_of(value)
  return value and #value <= 19 and string.find(value, '^%d+$') and tonumber(value) or -1
end

-- The offsets in the fields that are the FIELD of these, by that; -1 where there is none.
local function checkpoints(of)
  local offsets = {}
  for i = 1, #of, SLICE do
    local names = {}
    for j = i, math.min(i + SLICE - 1, #of) do
      names[#names + 1] = of[j][FIELD]
    end
    for j, offset in ipairs(redis.call('HMGET', APPLIED, unpack(names))) do
      offsets[names[j]] = offset_of(offset)
    end
  end
  return offsets
end

-- In slices: Lua unpacks no more than some thousands.
local function move(words)
  for i = 1, #words, SLICE do
    redis.call('HSET', APPLIED, unpack(words, i, math.min(i + SLICE - 1, #words)))
  end
end

local function is_whole(number)
  return type(number) == 'number' and number >= 0 and number <= 9007199254740991 and number % 1 == 0
end

-- What was unpacked, if that worked and was one value alone; else false.
local function alone(unpacked, ...)
  return unpacked and select('#', ...) == 1 and (...)
end

-- When the broker was asked, the times, and whether there was something else, which counts as nothing.
local function read_times(stored)
  if not stored then
    return 0, {}, false
  end
  local of = alone(pcall(cmsgpack.unpack, stored))
  if type(of) ~= 'table' or not is_whole(of[1]) or type(of[2]) ~= 'table' then
    return 0, {}, true
  end
  local count = 0
  for number, ms in pairs(of[2]) do
    if not is_whole(number) or not is_whole(ms) then
      return 0, {}, true
    end
    count = count + 1
  end
  if count ~= #of[2] then
    return 0, {}, true
  end
  return of[1], of[2], false
end

-- Takes the number of partitions. Events of a new one came after the times of the others: it is complete
-- as they are.
local function resize(times, partitions)
  local least = times[1] or 0
  for _, ms in ipairs(times) do
    least = math.min(least, ms)
  end
  for number = #times + 1, partitions do
    times[number] = least
  end
  for number = #times, partitions + 1, -1 do
    times[number] = nil
  end
end

-- Returns whether what was there could not be read.
local function tell_time(partitions, asked, reached)
  local asked_before, times, garbled = read_times(redis.call('HGET', AS_OF, TOPIC))
  if asked > asked_before then
    resize(times, partitions)
    asked_before = asked
  end
  local named = {}
  for i, of in ipairs(reached) do
    named[i] = { TOPIC .. ':' .. of[1] }
  end
  local offsets = checkpoints(named)
  for i, of in ipairs(reached) do
    local number, offset, ms = unpack(of)
    if offsets[named[i][FIELD]] >= offset and number < #times then
      times[number + 1] = ms
    end
  end
  redis.call('HSET', AS_OF, TOPIC, cmsgpack.pack({ asked_before, times }))
  return garbled
end

local behind, lost, offsets = {}, false, checkpoints(fields)
for _, field in ipairs(fields) do
  local stored = offsets[field[FIELD]]
  lost = lost or stored < field[AT_LEAST]
  if stored < field[TARGET] then
    behind[#behind + 1] = field[FIELD]
    behind[#behind + 1] = string.format('%.0f', field[TARGET])
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
move(behind)
local garbled = ARGV[4] ~= '' and tell_time(unpack(cmsgpack.unpack(ARGV[4])))
for i = NOTES, #behind > 0 and #KEYS or 0 do
  redis.call('UNLINK', KEYS[i])
end
return garbled and 2 or 1
