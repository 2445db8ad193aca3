-- Put before each script that changes a task's list: keeps the task in its bucket's two indexes of tasks, where its
-- latest record has it. What it is indexed under is a function of the list alone, so that whatever brought the list
-- there brings the task there.

-- Field of a task's hash: under what the task is indexed. No record has this id.
local INDEXED = '\0'
-- Stands for every status.
local ANY = '*'
local MS_BYTES = 7

-- Status letter, and time of the last activity, of an outcome register: its attempt is a length and so many bytes.
local function place_of(outcome)
  local from = string.byte(outcome, 1) + 3
  return string.sub(outcome, -1) .. string.sub(outcome, from, from + MS_BYTES - 1)
end

local function entries_of(place, key)
  local letter, time = string.sub(place, 1, 1), string.sub(place, 2)
  return { place .. key, ANY .. time .. key }, { letter .. key .. '\0' .. time }
end

local function take_out(index, entries, stays)
  local gone = {}
  for i, entry in ipairs(entries) do
    if entry ~= stays[i] then
      gone[#gone + 1] = entry
    end
  end
  if #gone > 0 then
    redis.call('ZREM', index, unpack(gone))
  end
end

-- Indexes the task `key` under the outcome of its latest record, and not under what it was before; nil takes it out.
-- Returns whether that changed anything.
local function index_task(keys, key, outcome)
  local was = redis.call('HGET', keys.task, INDEXED)
  local place = outcome and place_of(outcome)
  if was == place then
    return false
  end
  local active, named = {}, {}
  -- Adds first: in a slot on the move, a script may not touch a key that it has emptied.
  if place then
    active, named = entries_of(place, key)
    redis.call('ZADD', keys.active, 0, active[1], 0, active[2])
    redis.call('ZADD', keys.named, 0, named[1])
    redis.call('HSET', keys.task, INDEXED, place)
  end
  if was then
    local old_active, old_named = entries_of(was, key)
    take_out(keys.active, old_active, active)
    take_out(keys.named, old_named, named)
  end
  return true
end

-- The outcome of the task's latest record.
local function latest_outcome(keys)
  local id = redis.call('ZREVRANGE', keys.time, 0, 0)[1]
  return cmsgpack.unpack(redis.call('HGET', keys.task, id))[2]
end
