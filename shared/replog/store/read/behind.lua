-- include: read/less.lua
-- Put before each script that goes on behind a member of a zset, which need not be there any more.

-- Rank in a zset of the first member behind (score, id), newest first, where ids of equal scores descend; or with
-- `ascending` the other way round.
local function rank_behind(key, score, id, ascending)
  local from, to = '(' .. score, '+inf'
  if ascending then
    from, to = '-inf', '(' .. score
  end
  local low = redis.call('ZCOUNT', key, from, to)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call(ascending and 'ZRANGE' or 'ZREVRANGE', key, middle, middle)[1]
    local is_behind = less(member, id)
    if ascending then
      is_behind = less(id, member)
    end
    if is_behind then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end
