-- Put before each script that merges: the join of two registers is the greater of them as bytes; of facts with the same
-- order key, the greater as canonical JSON with the fields' names.
-- Lua's own `<` on strings follows the server's locale, so bytes are compared here.

local CHUNK = 64

-- True where register a is greater than register b, byte by byte. Cost: one pass over what they share.
local function greater(a, b)
  if a == b then
    return false
  end
  local shared = math.min(#a, #b)
  local from = 1
  while from + CHUNK <= shared and string.sub(a, from, from + CHUNK - 1) == string.sub(b, from, from + CHUNK - 1) do
    from = from + CHUNK
  end
  for i = from, shared do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x > y
    end
  end
  return #a > #b
end

-- Facts with each code replaced by its place in `codes`, which are in the order of the fields' names: as bytes they
-- compare as canonical JSON with the names does. A code that is not there, of a later version, is behind all others.
local function by_names(facts, codes)
  return (string.gsub(facts, '([{,]")(%a)(":)', function(before, code, behind)
    return before .. string.char(string.find(codes, code, 1, true) or 255) .. behind
  end))
end

-- True where the facts register a is greater than b. Cost: as `greater`, but for ties of different facts.
local function greater_facts(a, b, codes)
  local begins = string.byte(a, 2) + 12 -- behind the order key
  if string.sub(a, 1, begins - 1) ~= string.sub(b, 1, begins - 1) then
    return greater(a, b)
  end
  return greater(by_names(string.sub(a, begins), codes), by_names(string.sub(b, begins), codes))
end

local SUPERSEDED, DUPLICATE, APPLIED = 0, 1, 2

-- Joins `candidate` into `state` (arrays of registers, '' for none), registers first to last, in place. Where one of them
-- is that of facts, `facts` is its place and `codes` are those of facts in the order of the fields' names.
-- Returns what that did, and a table that is true at each register that changed.
local function join(state, candidate, first, last, facts, codes)
  local effect, changed = SUPERSEDED, {}
  for i = first, last do
    local new = candidate[i]
    if new ~= '' then
      if new == state[i] then
        effect = math.max(effect, DUPLICATE)
      elseif i == facts and greater_facts(new, state[i], codes) or i ~= facts and greater(new, state[i]) then
        state[i] = new
        changed[i] = true
        effect = APPLIED
      end
    end
  end
  return effect, changed
end

-- Times in registers and indexes are 7 bytes of milliseconds, biased; a start register holds the complement.
local MS_BIAS, MS_TOP = 2 ^ 46, 2 ^ 49

local function start_ms(start)
  return MS_TOP - MS_BIAS - struct.unpack('>I7', start, #start - 8)
end

local function index_time(ms)
  return struct.pack('>I7', ms + MS_BIAS)
end

local function decimal(number)
  return string.format('%.0f', number)
end
