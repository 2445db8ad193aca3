-- Put before each script that reads the index by pair between two places, for many heads.

-- The members behind each of `heads` from `below`, included, to before `above`; nil where there are more than `most`.
local function members_between(key, heads, above, below, most)
  local found = {}
  for _, head in ipairs(heads) do
    local low, high = '[' .. head .. below, '(' .. head .. above
    local members = redis.call('ZRANGEBYLEX', key, low, high, 'LIMIT', 0, most - #found + 1)
    if #found + #members > most then
      return nil
    end
    for _, member in ipairs(members) do
      found[#found + 1] = member
    end
  end
  return found
end
