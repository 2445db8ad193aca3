-- Put before each script that changes a task's list: keeps the task in its bucket's index of tasks, where its latest
-- record has it. What it is indexed under is a function of the list alone, so that whatever brought the list there
-- brings the task there.

-- Field of a task's hash: under what the task is indexed. No record has this id.
local INDEXED = '\0'
-- Stands for every status, and before what is in order of keys.
local ANY, BY_KEY = '*', '='
local MS_BYTES = 7

-- Status letter, and time of the last activity, of an outcome register: its attempt is a length and so many bytes.
local function place_of(outcome)
  local from = string.byte(outcome, 1) + 3
  return string.sub(outcome, -1) .. string.sub(outcome, from, from + MS_BYTES - 1)
end

local function entries_of(place, key)
  local letter, time = string.sub(place, 1, 1), string.sub(place, 2)
  return { place .. key, ANY .. time .. key, BY_KEY .. letter .. key .. '\0' .. time }
end

-- Moves the task `key` in `index` from one place to another, which is not the same; either may be nil.
local function move_task(index, key, was, place)
  local on, off = place and entries_of(place, key) or {}, {}
  for i, entry in ipairs(was and entries_of(was, key) or {}) do
    if entry ~= on[i] then
      off[#off + 1] = entry
    end
  end
  -- Adds first: in a slot on the move, a script may not touch a key that it has emptied.
  if place then
    redis.call('ZADD', index, 0, on[1], 0, on[2], 0, on[3])
  end
  if #off > 0 then
    redis.call('ZREM', index, unpack(off))
  end
end
