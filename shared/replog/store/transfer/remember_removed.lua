-- include: write/layout.lua
-- Remembers of records that retention removed them, as another store does, unless this one has them.
--
-- KEYS[1] due zset   KEYS[2] removed zset   KEYS[3] claimed hash   KEYS[4] layout string   (of the bucket)
-- ARGV[1] msgpack array of {id, score in removed, value in claimed or ''}, at most 500   ARGV[2] mark of the layout
--
-- Returns how many of the records are remembered. Cost: O(records * log(removed records of the bucket)).
-- Safe to repeat: of two notes the later time stands.

local DUE, REMOVED, CLAIMED = KEYS[1], KEYS[2], KEYS[3]

local function claim(id, ms)
  if ms ~= '' and tonumber(ms) > tonumber(redis.call('HGET', CLAIMED, id) or ms - 1) then
    redis.call('HSET', CLAIMED, id, ms)
  end
end

local remembered = 0
for _, removed in ipairs(cmsgpack.unpack(ARGV[1])) do
  local id, at, claimed = unpack(removed)
  if not redis.call('ZSCORE', DUE, id) then
    redis.call('ZADD', REMOVED, 'GT', at, id)
    claim(id, claimed)
    remembered = remembered + 1
  end
end
if remembered > 0 then
  mark_layout(KEYS[4], ARGV[2])
end
return remembered
