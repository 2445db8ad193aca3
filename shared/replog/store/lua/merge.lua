-- Joins folded registers into one record and up to 100 of its details, with their indexes and the record's sums.
--
-- KEYS[1] record  hash       KEYS[4] pairs   lex zset
-- KEYS[2] details hash       KEYS[5] bypair  lex zset
-- KEYS[3] time    zset       KEYS[6] byname  lex zset
-- KEYS[7] due     zset       KEYS[8] removed zset       (of the bucket)
-- ARGV[1] msgpack {start, facts, outcome, progress, last, task key, ...} of the record, or ''
-- ARGV[2] msgpack array of details, each {id, start, facts, outcome, progress, last, pair, name,
--         {conflicts, other paths, other artifacts, skip high, skip low, size high, size low}}
-- ARGV[3] the record's id   ARGV[4] time of the newest of these events, ms   ARGV[5] time now, ms
--
-- A record that retention removed stays removed where these events are all older than what it had; then the
-- answer is that of superseded events.
--
-- Returns {effects of the details, one digit each; then, where ARGV[1] was given: effect of the record,
--          its start register, its outcome register, msgpack array of its task keys}.
-- Cost: O(details * log(details of the record)); about 40 us for a detail that is new in a record of a million.
-- Safe to repeat: what is not greater than the state changes nothing.

local RECORD, DETAILS, TIME, PAIRS, BY_PAIR, BY_NAME = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local DUE, REMOVED = KEYS[7], KEYS[8]
local ID, NEWEST, NOW = ARGV[3], ARGV[4], ARGV[5]
local FIELDS = { 'start', 'facts', 'outcome', 'progress', 'last' }
-- Positions in a stored detail; 1 to 5 are its registers.
local FACTS, OUTCOME, PROGRESS, PAIR, NAME, SUMS = 2, 3, 4, 6, 7, 8
local CONTRIBUTIONS, FROM_FACTS = 7, 3

local counts = {} -- field of the record's hash -> how much it moves
local function count(field, by)
  counts[field] = (counts[field] or 0) + by
end

local pair_numbers = {}
local function pair_number(pair)
  local number = pair_numbers[pair]
  if not number then
    local found = redis.call('ZRANGEBYLEX', PAIRS, '[' .. pair, '(' .. pair .. '\255', 'LIMIT', 0, 1)[1]
    if found then
      number = string.sub(found, -4)
    else
      number = struct.pack('>I4', redis.call('HINCRBY', RECORD, 'pairs', 1))
      redis.call('ZADD', PAIRS, 0, pair .. number)
    end
    pair_numbers[pair] = number
  end
  return number
end

local written, timed = {}, {}
local off_pair, on_pair, off_name, on_name = {}, {}, {}, {}

-- Takes a stored detail out of the counts and index entries (sign -1), or puts it in (sign 1).
local function place(id, detail, sign, by_pair, by_name)
  local status = string.sub(detail[OUTCOME], -1)
  local head = detail[PAIR] .. status
  local tail = index_time(start_ms(detail[1])) .. id
  by_pair[#by_pair + 1] = head .. tail
  if detail[NAME] ~= '' then
    by_name[#by_name + 1] = head .. detail[NAME] .. '\0' .. tail
  end
  count('n' .. status, sign)
  count('f' .. head, sign)
  for i = 1, CONTRIBUTIONS do
    count('s' .. i, sign * detail[SUMS][i])
  end
end

local function merge_detail(stored, incoming)
  local id = table.remove(incoming, 1)
  local detail, effect, changed
  if stored then
    detail = cmsgpack.unpack(stored)
    local before = cmsgpack.unpack(stored)
    effect, changed = join(detail, incoming, 1, #FIELDS)
    if effect ~= APPLIED then
      return effect
    end
    place(id, before, -1, off_pair, off_name)
  else
    detail, effect, changed = incoming, APPLIED, { true, true, true, true, true }
    detail[PAIR] = pair_number(incoming[PAIR])
  end
  if stored and changed[FACTS] then
    detail[PAIR], detail[NAME] = pair_number(incoming[PAIR]), incoming[NAME]
  end
  for i = 1, CONTRIBUTIONS do
    if changed[i <= FROM_FACTS and FACTS or PROGRESS] then
      detail[SUMS][i] = incoming[SUMS][i]
    end
  end
  place(id, detail, 1, on_pair, on_name)
  if changed[1] then
    timed[#timed + 1] = decimal(start_ms(detail[1]))
    timed[#timed + 1] = id
  end
  written[#written + 1] = id
  written[#written + 1] = cmsgpack.pack(detail)
  return effect
end

local function merge_details(packed)
  local details = cmsgpack.unpack(packed)
  local ids = {}
  for i, detail in ipairs(details) do
    ids[i] = detail[1]
  end
  local stored = redis.call('HMGET', DETAILS, unpack(ids))
  local effects = {}
  for i, detail in ipairs(details) do
    effects[i] = merge_detail(stored[i], detail)
  end
  return table.concat(effects)
end

-- Adds first: in a slot on the move, a script may not touch a key that it has emptied.
local function write_index(key, off, on)
  local scored, stays, gone = {}, {}, {}
  for _, member in ipairs(on) do
    scored[#scored + 1] = 0
    scored[#scored + 1] = member
    stays[member] = true
  end
  for _, member in ipairs(off) do
    if not stays[member] then
      gone[#gone + 1] = member
    end
  end
  if #scored > 0 then
    redis.call('ZADD', key, unpack(scored))
  end
  if #gone > 0 then
    redis.call('ZREM', key, unpack(gone))
  end
end

local function write_details()
  redis.call('HSET', DETAILS, unpack(written))
  if #timed > 0 then
    redis.call('ZADD', TIME, unpack(timed))
  end
  write_index(BY_PAIR, off_pair, on_pair)
  write_index(BY_NAME, off_name, on_name)
  for field, by in pairs(counts) do
    if by ~= 0 then
      redis.call('HINCRBY', RECORD, field, decimal(by))
    end
  end
end

-- Adds the task keys that are new to those known; returns whether any was.
local function join_tasks(known, incoming)
  local seen, grew = {}, false
  for _, task in ipairs(known) do
    seen[task] = true
  end
  for i = #FIELDS + 1, #incoming do
    if not seen[incoming[i]] then
      known[#known + 1] = incoming[i]
      grew = true
    end
  end
  return grew
end

local function merge_record(packed)
  local incoming = cmsgpack.unpack(packed)
  local state = redis.call('HMGET', RECORD, 'start', 'facts', 'outcome', 'progress', 'last', 'tasks')
  local tasks = state[6] and cmsgpack.unpack(state[6]) or {}
  for i = 1, #FIELDS do
    state[i] = state[i] or ''
  end
  local effect, changed = join(state, incoming, 1, #FIELDS)
  local written_fields = {}
  for i, field in ipairs(FIELDS) do
    if changed[i] then
      written_fields[#written_fields + 1] = field
      written_fields[#written_fields + 1] = state[i]
    end
  end
  if join_tasks(tasks, incoming) then
    effect = APPLIED
    written_fields[#written_fields + 1] = 'tasks'
    written_fields[#written_fields + 1] = cmsgpack.pack(tasks)
  end
  if #written_fields > 0 then
    redis.call('HSET', RECORD, unpack(written_fields))
  end
  return effect, state[1], state[3], cmsgpack.pack(tasks)
end

local removed_at = redis.call('ZSCORE', REMOVED, ID)
if removed_at then
  if tonumber(NEWEST) <= tonumber(removed_at) then
    local details = ARGV[2] ~= '' and #cmsgpack.unpack(ARGV[2]) or 0
    return { string.rep(SUPERSEDED, details), SUPERSEDED, '', '', cmsgpack.pack({}) }
  end
  redis.call('ZREM', REMOVED, ID)
end

local answer = { ARGV[2] ~= '' and merge_details(ARGV[2]) or '' }
if #written > 0 then
  write_details()
end
if ARGV[1] ~= '' then
  answer[2], answer[3], answer[4], answer[5] = merge_record(ARGV[1])
end
if #written > 0 or answer[2] == APPLIED then
  redis.call('HINCRBY', RECORD, 'v', 1)
  redis.call('HSET', RECORD, 'w', NOW)
  redis.call('ZADD', DUE, 'GT', NEWEST, ID)
end
return answer
