-- Put before each script that compares ids, or entries of an index: as bytes, for Lua's own `<` follows the server's
-- locale.

-- Whether a is less than b, byte by byte. Cost: one pass over what they share.
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end
