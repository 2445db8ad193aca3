-- include: write/order.lua
-- include: write/calls.lua
-- include: write/layout.lua
-- include: write/activity.lua
-- include: write/generation.lua
-- Joins the start and outcome of records into one task's list of records, and indexes the task by its latest record.
--
-- KEYS[1] task hash   KEYS[2] tasktime zset   KEYS[3] taskstat lex zset   KEYS[4] calls string (as in merge.lua)
-- KEYS[5] tasks lex zset   KEYS[6] moved string   KEYS[7] left zset   KEYS[8] layout string
-- KEYS[9] listed hash   KEYS[10] listedat zset   (of the bucket)
-- ARGV[1] msgpack array of records, each {id, start register, outcome register, generation}
-- ARGV[2] number of this call among those that the bucket gets of this merge   ARGV[3] the task's key
-- ARGV[4] mark of the writer's layout   ARGV[5] time now, ms
--
-- A record of a later generation than the list has takes the place of the earlier one; of an earlier one nothing is taken.
-- Returns the number of records that changed. Cost: O(records * log(records of the task) + log(tasks of the bucket)).
-- Safe to repeat: what is not greater than the state changes nothing.

local TASK, TIME, STATUS, LEFT, KEY = KEYS[1], KEYS[2], KEYS[3], KEYS[7], ARGV[3]
local LISTED, LISTED_AT, NOW = KEYS[9], KEYS[10], ARGV[5]
local REGISTERS = 2

local states, written = {}, {}

local function write(field, value)
  written[#written + 1] = field
  written[#written + 1] = value
end

local function status_entry(id, state)
  return string.sub(state[2], -1) .. index_time(start_ms(state[1])) .. id
end

-- `anew`: whether the record is of a later generation than what is stored.
local function enlist(id, incoming, stored, anew)
  local before = stored and cmsgpack.unpack(stored)
  local state = stored and not anew and before or { '', '' }
  -- Made before the join, which is in place.
  local entry_before = before and status_entry(id, before)
  states[id] = state
  if join(state, incoming, 1, REGISTERS) ~= APPLIED then
    return 0
  end
  local after = status_entry(id, state)
  -- Adds first: in a slot on the move, a script may not touch a key that it has emptied.
  redis.call('ZADD', STATUS, 0, after)
  if entry_before and entry_before ~= after then
    redis.call('ZREM', STATUS, entry_before)
  end
  redis.call('ZADD', TIME, decimal(start_ms(state[1])), id)
  write(id, cmsgpack.pack(state))
  return 1
end

-- The records that may be listed, and by id whether one is of a later generation than the list has: those of an earlier
-- one, and those that have left the list for good in theirs, are passed over.
local function staying(records)
  local ids, found, anew = {}, {}, {}
  for i, record in ipairs(records) do
    ids[i] = record[1]
  end
  local generations, left = generations_of(LISTED, KEY, ids), redis.call('EXISTS', LEFT) == 1
  for i, record in ipairs(records) do
    local id, generation = record[1], record[4]
    if greater(generation, generations[i]) then
      anew[id] = generation
      found[#found + 1] = record
    elseif generation == generations[i] and not (left and redis.call('ZSCORE', LEFT, KEY .. '\0' .. id)) then
      found[#found + 1] = record
    end
  end
  return found, anew
end

local function latest_place()
  local id = redis.call('ZREVRANGE', TIME, 0, 0)[1]
  if not id then
    return nil
  end
  local state = states[id] or cmsgpack.unpack(redis.call('HGET', TASK, id))
  return place_of(state[2])
end

note_call(KEYS[4], ARGV[2])
local records, anew = staying(cmsgpack.unpack(ARGV[1]))
local ids, changed = {}, 0
for i, record in ipairs(records) do
  ids[i] = table.remove(record, 1)
end
ids[#ids + 1] = INDEXED
local stored = redis.call('HMGET', TASK, unpack(ids))
for i, record in ipairs(records) do
  changed = changed + enlist(ids[i], record, stored[i], anew[ids[i]])
end
-- Also where nothing changed: a list may have been made before there was an index.
local was, place = stored[#ids], latest_place()
if place and was ~= place then
  move_task(KEYS[5], KEY, was, place)
  write(INDEXED, place)
end
if #written > 0 then
  redis.call('HSET', TASK, unpack(written))
  if redis.call('HINCRBY', TASK, '', 1) == 1 then
    mark_layout(KEYS[8], ARGV[4])
  end
  redis.call('INCR', KEYS[6])
end
for id, generation in pairs(anew) do
  note_generation(LISTED, LISTED_AT, KEY, id, generation, NOW)
  redis.call('ZREM', LEFT, KEY .. '\0' .. id)
end
return changed
