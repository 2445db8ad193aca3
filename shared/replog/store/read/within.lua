-- Put before each script that reads values of many ids from a hash: stops after so many bytes.

-- Values that are read by one command at most, and the size of one beyond which the others are measured beforehand:
-- a hash holds many such values or none. 20 values of the event contract's largest rows are some 2.4 MB.
local AT_ONCE, WIDE = 20, 32768

-- The values of the first `ids` in hash `key`, false for none: of one at least, and of no more once they have `most`
-- bytes together. `wary` where wide ones are known to be there. `first`, where given, is a table with the first value,
-- which has been read and does not count. Beside the values, returns the bytes that were read.
local function values_within(key, ids, most, wary, first)
  local values, used, at, step = first or {}, 0, 1, 1
  if first then
    at, step = 2, AT_ONCE - 1
  end
  while at <= #ids and used < most do
    if wary then
      step = 1
      if at > 1 and used + redis.call('HSTRLEN', key, ids[at]) > most then
        break
      end
    end
    for _, value in ipairs(redis.call('HMGET', key, unpack(ids, at, math.min(at + step - 1, #ids)))) do
      local size = value and #value or 0
      values[at], at = value, at + 1
      used, wary = used + size, wary or size > WIDE
    end
    step = at < AT_ONCE and AT_ONCE - at + 1 or AT_ONCE
  end
  return values, used
end
