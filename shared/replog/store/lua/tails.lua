-- Put before each script that reads details by rank: from a place in the order of time to one behind a head.

local MS_BIAS = 2 ^ 46

-- Time and id of the last detail before `rank`; above all where there is none, below all behind the end.
local function tail_before(rank, time)
  if rank <= 0 then
    return '\255'
  end
  local last = redis.call('ZREVRANGE', time, rank - 1, rank - 1, 'WITHSCORES')
  return #last == 0 and '' or struct.pack('>I7', tonumber(last[2]) + MS_BIAS) .. last[1]
end
