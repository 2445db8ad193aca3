-- include: read/less.lua
-- Put before each script that reads details by their rank: their place in the order of time, newest first.
--
-- The index has an entry `X time id` for each detail, X a status letter: a *part* for each status. The order of several
-- statuses is merged from their parts. Its first so many details are the first of each part: `search` finds how many of
-- each, from the ranks that single entries have in all parts.

local TIME_BYTES = 7
-- So many details of the order are merged one by one at the end of a search: that takes less than to search on.
local NEAR = 32

-- The parts of the status letters `asked`, their number of entries, and the counter of the record's changes, false where
-- there is no record; its hash has the numbers. A part is: entries of the index up to its last one, entries behind it, its own number, and within which bounds
-- so many of it as are searched for lie. `letters` are those of all statuses, as the index has them, ascending.
local function parts_of(record, asked, letters)
  local fields = { 'v' }
  for letter in string.gmatch(letters, '.') do
    fields[#fields + 1] = 'n' .. letter
  end
  local counts, all = redis.call('HMGET', record, unpack(fields)), 0
  for i = 2, #fields do
    all = all + tonumber(counts[i] or 0)
  end
  local parts, total, behind = {}, 0, 0
  for i = #fields, 2, -1 do
    local letter, number = string.sub(letters, i - 1, i - 1), tonumber(counts[i] or 0)
    if number > 0 and string.find(asked, letter, 1, true) then
      local part = { letter = letter, last = all - behind, behind = behind, number = number, low = 0, high = number }
      parts[#parts + 1], total = part, total + number
    end
    behind = behind + number
  end
  return parts, total, counts[1]
end

-- The entries of a part from a place on, newest first; fewer where it ends.
local function entries_of(key, part, from, count)
  count = math.min(count, part.number - from)
  if count <= 0 then
    return {}
  end
  return redis.call('ZREVRANGE', key, part.behind + from, part.behind + from + count - 1)
end

-- How many entries of a part are not older than this time and id.
local function not_older(key, part, tail)
  return part.last - redis.call('ZLEXCOUNT', key, '-', '(' .. part.letter .. tail)
end

local function lows_of(parts)
  local low = 0
  for _, part in ipairs(parts) do
    low = low + part.low
  end
  return low
end

local function widest_of(parts)
  local widest, width = parts[1], 0
  for _, part in ipairs(parts) do
    width = width + part.high - part.low
    if part.high - part.low > widest.high - widest.low then
      widest = part
    end
  end
  return widest, width
end

-- Narrows the bounds of all parts by the place of one entry: the one behind the first `at` of `probed`.
local function probe(key, parts, probed, at, rank)
  local tail = string.sub(entries_of(key, probed, at, 1)[1], 2)
  local counts, all = {}, 0
  for i, part in ipairs(parts) do
    counts[i] = part == probed and at + 1 or not_older(key, part, tail)
    all = all + counts[i]
  end
  for i, part in ipairs(parts) do
    if all <= rank then
      part.low = math.max(part.low, counts[i])
    else
      part.high = math.min(part.high, part == probed and at or counts[i])
    end
  end
end

-- Raises `low` of each part to what it has among the first `rank` details, which are no more than there are. Returns how
-- many of these are left over: the first ones behind all `low`, NEAR at most.
--
-- Statuses are mostly spread evenly over time, so a probe aims at a share of the widest bounds; each third one halves
-- them, for where they are not. Cost: O(log(n)) a probe, of which there are 2 or 3 in a million evenly spread details.
local function search(key, parts, rank)
  if #parts == 1 then
    parts[1].low = rank
    return 0
  end
  local left, probes = rank - lows_of(parts), 0
  while left > NEAR do
    probes = probes + 1
    local widest, width = widest_of(parts)
    local share = probes % 3 == 0 and 0.5 or (left - NEAR / 2) / width
    probe(key, parts, widest, widest.low + math.floor((widest.high - widest.low - 1) * share), rank)
    left = rank - lows_of(parts)
  end
  return left
end

-- Goes on to the next entry of a part, with its `tail` (time and id) and `time`; these are nil behind the last.
local function advance(key, part)
  part.at = part.at + 1
  if part.at > #part.entries then
    part.entries, part.at = entries_of(key, part, part.low, part.at_once), 1
    part.low = part.low + #part.entries
  end
  local entry = part.entries[part.at]
  part.tail = entry and string.sub(entry, 2)
  part.time = entry and struct.unpack('>I7', entry, 2) or nil
end

local function newest_of(parts)
  local newest
  for _, part in ipairs(parts) do
    local is_newer = part.time and (not newest or part.time > newest.time)
    if is_newer or (newest and part.time == newest.time and less(newest.tail, part.tail)) then
      newest = part
    end
  end
  return newest
end

-- Times and ids of `wanted` details of the order, behind all `low` and `skipped` more; fewer where it ends.
local function merged(key, parts, total, skipped, wanted)
  local tails = {}
  if #parts == 1 then
    for i, entry in ipairs(entries_of(key, parts[1], parts[1].low + skipped, wanted)) do
      tails[i] = string.sub(entry, 2)
    end
    return tails
  end
  for _, part in ipairs(parts) do
    -- A few more than its share: mostly that is enough.
    part.at_once = math.ceil((wanted + skipped) * part.number / total * 1.2) + 4
    part.entries, part.at = {}, 0
    advance(key, part)
  end
  for number = 1, skipped + wanted do
    local newest = newest_of(parts)
    if not newest then
      break
    end
    if number > skipped then
      tails[#tails + 1] = newest.tail
    end
    advance(key, newest)
  end
  return tails
end

local function ids_of(tails)
  local ids = {}
  for i, tail in ipairs(tails) do
    ids[i] = string.sub(tail, TIME_BYTES + 1)
  end
  return ids
end

-- Times and ids of the details on a page of these parts.
local function page_of(key, parts, total, offset, limit)
  if offset >= total then
    return {}
  end
  return merged(key, parts, total, search(key, parts, offset), limit)
end
