-- Put before each script that goes on behind a member of a time index, which need not be there any more.

-- Ids are compared as bytes: Lua's `<` follows the server's locale.
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- Rank in the index `time`, newest first, of the first member behind (score, id): among equal scores ids descend.
local function rank_behind(time, score, id)
  local low = redis.call('ZCOUNT', time, '(' .. score, '+inf')
  local high = low + redis.call('ZCOUNT', time, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if less(redis.call('ZREVRANGE', time, middle, middle)[1], id) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end
