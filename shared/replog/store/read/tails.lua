-- Put before each script that reads details by rank: from a place in the order of time to one behind a head.

local MS_BIAS = 2 ^ 46

-- As in short_ids.py: the digit of each byte, by runs of bytes that share one: the last byte of each, in order.
local RUNS = { 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 96, 97, 98, 99, 100, 101, 102, 255 }
-- Runs that are no single character.
local OTHERS = { [1] = true, [15] = true, [22] = true }

local function digit_of(byte)
  for digit, last in ipairs(RUNS) do
    if byte <= last then
      return digit
    end
  end
end

-- An id as entries hold it.
local function short(id)
  local packed = {}
  for from = 1, #id, 8 do
    local number, rest = 0, nil
    for i = from, from + 7 do
      local byte = not rest and string.byte(id, i)
      local digit = byte and digit_of(byte) or 0
      rest = rest or (OTHERS[digit] and string.sub(id, i))
      number = number * 32 + digit
    end
    packed[#packed + 1] = struct.pack('>I5', number)
    if rest then
      packed[#packed + 1] = rest
      break
    end
  end
  return table.concat(packed)
end

-- Time and short id of the last detail before `rank`; above all where there is none, below all behind the end.
local function tail_before(rank, time)
  if rank <= 0 then
    return '\255'
  end
  local last = redis.call('ZREVRANGE', time, rank - 1, rank - 1, 'WITHSCORES')
  return #last == 0 and '' or struct.pack('>I7', tonumber(last[2]) + MS_BIAS) .. short(last[1])
end
