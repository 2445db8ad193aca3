-- Moves the markers of one bucket on, where the bucket has everything that was merged into it for that.
--
-- KEYS[1] applied hash of the bucket   KEYS[2..] notes of the calls that the bucket took, one a merge (calls.lua)
-- ARGV[1] msgpack array: how many calls were acknowledged, one number for each of KEYS[2..]
-- ARGV[2] msgpack array of {field, offset where it must stand at least, offset to move it to}
--
-- Returns 1 where the markers stand as asked, 0 where something acknowledged is missing: then nothing is changed.
-- Cost: O(keys + fields). Safe to repeat.

local acknowledged, fields = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local APPLIED, FIELD, AT_LEAST, TARGET, SLICE = KEYS[1], 1, 2, 3, 1000

local behind, lost = {}, false
for _, field in ipairs(fields) do
  local stored = tonumber(redis.call('HGET', APPLIED, field[FIELD]) or -1)
  lost = lost or stored < field[AT_LEAST]
  if stored < field[TARGET] then
    behind[#behind + 1] = field
  end
end
if #behind == 0 and not lost then
  return 1
end
for i, count in ipairs(acknowledged) do
  lost = lost or redis.call('BITCOUNT', KEYS[i + 1]) < count
end
if lost then
  return 0
end
local moved = {}
for _, field in ipairs(behind) do
  moved[#moved + 1] = field[FIELD]
  moved[#moved + 1] = string.format('%.0f', field[TARGET])
end
-- In slices: Lua unpacks no more than some thousands.
for i = 1, #moved, SLICE do
  redis.call('HSET', APPLIED, unpack(moved, i, math.min(i + SLICE - 1, #moved)))
end
for i = 2, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 1
