-- include: write/order.lua
-- include: write/calls.lua
-- include: write/layout.lua
-- include: write/outbox.lua
-- Joins folded registers into one record and up to 20 of its details, with their indexes and the record's sums.
--
-- KEYS[1] record  hash       KEYS[4] pairs   lex zset
-- KEYS[2] details hash       KEYS[5] bypair  lex zset
-- KEYS[3] bystatus lex zset  KEYS[6] byname  lex zset
-- KEYS[7] due     zset       KEYS[8] removed zset       (of the bucket)
-- KEYS[9] calls   string     (of the bucket and this merge of a batch)
-- KEYS[10] running zset      KEYS[11] unfinished set    KEYS[12] claimed hash   KEYS[13] layout string
-- KEYS[14] erased hash       KEYS[15] erasedat zset     (of the bucket)
-- KEYS[16] outbox lex zset (of the bucket), only where transitions are to be noted in it
-- ARGV[1] msgpack {start, facts, outcome, progress, last, task key, ...} of the record, or ''
-- ARGV[2] msgpack array of details, of each in a row: id, pair, status letter, time and short id, names (a text where
--         there is one, else an array), sums (a number, or an array) and packed, these two as the details' hash holds
--         them but for the head (see detail_codec.py); one flat array, because tables cost more here than what is in
--         them
-- ARGV[3] the record's id   ARGV[4] time of the newest of these events, ms   ARGV[5] time now, ms
-- ARGV[6] number of this call among those that the bucket gets of this merge
-- ARGV[7] era of the writer   ARGV[8] id of this merge   ARGV[9] codes of facts, in the order of the fields' names
-- ARGV[10] letter of the status that is not terminal   ARGV[11] mark of the writer's layout
-- ARGV[12] generation of the record that the writer knows: all of these events are later
-- ARGV[13] letters of all statuses, in the order in which a pair's numbers of details stand
-- ARGV[14] msgpack array: fields of the record's hash that go into the outbox; only with KEYS[16]
--
-- Of the record's task keys the MOST_TASKS smallest are kept. Its tasks' lists are behind where its start, its outcome or
-- these keys changed, and where another writer's era, or no settled one, is noted in `lists`; then this merge is noted
-- there, and settle.lua notes the era once the lists are brought up.
--
-- Where the record is erased up to a later time than the writer knows, nothing is merged: these registers may be of erased
-- events, and hide later ones. The writer folds the later events again.
--
-- A record that retention removed stays removed where these events are all older than what it had; then the
-- answer is that of superseded events.
--
-- Returns {effects of the details, one digit each; then, where ARGV[1] was given: effect of the record; then, where its
--          tasks' lists are behind: its start register, its outcome register, msgpack array of its task keys,
--          and of those that it was listed under before, or ''; then, where this call ended or reopened the record
--          (its lists are behind then): its status letter before, or '', and its facts register};
--          or, where nothing is merged for an erasure, {'', superseded, up to which time the record is erased}.
-- Cost: O(details * log(details of the record)); about 20 us for a detail that is new in a record of a million.
-- Safe to repeat: what is not greater than the state changes nothing.

local RECORD, DETAILS, BY_STATUS, PAIRS, BY_PAIR, BY_NAME = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local DUE, REMOVED, CALLS, RUNNING, UNFINISHED = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local CLAIMED, LAYOUT, ERA, MERGE_ID = KEYS[12], KEYS[13], ARGV[7], ARGV[8]
local CODES, OPEN, MARK, LETTERS = ARGV[9], ARGV[10], ARGV[11], ARGV[13]
local OUTBOX = ARGV[1] ~= '' and KEYS[16]
local ID, NEWEST, NOW = ARGV[3], ARGV[4], ARGV[5]
local MOST_TASKS = 16
local FIELDS = { 'start', 'facts', 'outcome', 'progress', 'last' }
-- Places of an incoming detail, behind where it stands in its array; and how many they are.
local ID_OF, PAIR, STATUS, TAIL, TEXTS, ADDS, PACKED, PLACES = 1, 2, 3, 4, 5, 6, 7, 7
-- Positions in a packed one; 1 to 5 are its registers.
local START, FACTS, OUTCOME, PROGRESS, LAST, NAMES, SUMS = 1, 2, 3, 4, 5, 6, 7
-- Which of the sums come from the facts; the others come from the progress.
local OF_FACTS, MOST_SUMS = { false, true }, 5
local KINDS, TIME_BYTES, MS_BYTES, US_TOP = { 'p', 't', 'a', 'v', 'k' }, 9, 7, 999

local OF_SUM = { 's1', 's2', 's3', 's4', 's5' }
local counts = {} -- field of the record's hash -> how much it moves
local function count(field, by)
  counts[field] = (counts[field] or 0) + by
end

-- A number of a pair that is longer than one byte begins with LONG and the count of the bytes behind it.
local LONG = 0xF0

local function packed_number(number)
  if number < LONG then
    return string.char(number)
  end
  local bytes = string.gsub(struct.pack('>I4', number), '^%z+', '')
  return string.char(LONG + #bytes) .. bytes
end

local function split_head(value)
  local first = string.byte(value)
  local bytes = first < LONG and 1 or first - LONG + 1
  return string.sub(value, 1, bytes), string.sub(value, bytes + 1, bytes + 1), string.sub(value, bytes + 2)
end

local pair_numbers = {}
local function pair_number(pair)
  local number = pair_numbers[pair]
  if not number then
    local found = redis.call('ZRANGEBYLEX', PAIRS, '[' .. pair, '(' .. pair .. '\255', 'LIMIT', 0, 1)[1]
    if found then
      number = string.sub(found, #pair + 1)
    else
      number = packed_number(redis.call('HINCRBY', RECORD, 'pairs', 1))
      redis.call('ZADD', PAIRS, 0, pair .. number)
    end
    pair_numbers[pair] = number
  end
  return number
end

-- What commands take: lists with their lengths, for Lua searches where a list ends each time it is asked.
local function list()
  return { n = 0 }
end

local written, by_status = list(), { on = list(), off = list() }
local by_pair, by_name = { on = list(), off = list() }, { on = list(), off = list() }

local pair_counts, pair_list = {}, {} -- number of a pair -> how much its numbers of details move, by status; the pairs
local function count_in_pair(number, status, by)
  local moves = pair_counts[number]
  if not moves then
    moves = { 0, 0, 0 }
    pair_counts[number], pair_list[#pair_list + 1] = moves, number
  end
  local place = string.find(LETTERS, status, 1, true)
  moves[place] = moves[place] + by
end

local function count_all(number, status, sums, sign)
  count('n' .. status, sign)
  count_in_pair(number, status, sign)
  if type(sums) == 'number' then
    count('s1', sign * sums)
    return
  end
  for i, sum in ipairs(sums) do
    if sum ~= 0 then
      count(OF_SUM[i], sign * sum)
    end
  end
end

-- Appends what a command takes in pairs: field and value, or score and member.
local function put(to, first, second)
  local length = to.n
  to[length + 1], to[length + 2] = first, second
  to.n = length + 2
end

-- Names are a text where there is one, else a list; the tail is time and short id.
local function index(on_or_off, id, number, status, names, tail)
  put(by_status[on_or_off], '0', status .. string.sub(tail, 1, MS_BYTES) .. id)
  put(by_pair[on_or_off], '0', number .. status .. tail)
  local entries, place = by_name[on_or_off], '\0' .. number .. tail
  if type(names) == 'string' then
    put(entries, '0', status .. names .. place)
    return
  end
  for i = 1, #names do
    put(entries, '0', status .. names[i] .. place)
  end
end

-- A detail that the record does not have yet is written as it came.
local function add(details, at)
  local id, number, status = details[at + ID_OF], pair_number(details[at + PAIR]), details[at + STATUS]
  local head = number .. status
  index('on', id, number, status, details[at + TEXTS], details[at + TAIL])
  count_all(number, status, details[at + ADDS], 1)
  put(written, id, head .. details[at + PACKED])
end

-- Bytes of the order key of an outcome, or of the progress of the same event.
local function order_bytes(outcome)
  return string.byte(outcome, 1) + 2 + TIME_BYTES
end

-- The order key of the facts of the event that a start is of.
local function order_of_facts(start)
  local ms, us = struct.unpack('>I7I2', start, #start - TIME_BYTES + 1)
  return string.sub(start, 1, -TIME_BYTES - 1) .. struct.pack('>I7I2', MS_TOP - ms, US_TOP - us)
end

-- A packed detail with this status as it is joined: its registers whole.
local function unpacked(packed, status)
  local detail = cmsgpack.unpack(packed)
  local bytes = order_bytes(detail[OUTCOME])
  if string.sub(detail[FACTS], 1, 1) == '=' then
    detail[FACTS] = order_of_facts(detail[START]) .. string.sub(detail[FACTS], 2)
  end
  if string.sub(detail[PROGRESS], 1, 1) == '=' then
    detail[PROGRESS] = string.sub(detail[OUTCOME], 1, bytes) .. string.sub(detail[PROGRESS], 2)
  end
  if detail[LAST] == '' then
    detail[LAST] = string.sub(detail[OUTCOME], bytes - TIME_BYTES + 1, bytes)
  end
  detail[OUTCOME] = detail[OUTCOME] .. status
  if type(detail[SUMS]) == 'number' then
    detail[SUMS] = { detail[SUMS] }
  end
  return detail
end

local function packed(detail)
  local facts, order_facts = detail[FACTS], order_of_facts(detail[START])
  if string.sub(facts, 1, #order_facts) == order_facts then
    facts = '=' .. string.sub(facts, #order_facts + 1)
  end
  local bytes = order_bytes(detail[OUTCOME])
  local order, progress, last = string.sub(detail[OUTCOME], 1, bytes), detail[PROGRESS], detail[LAST]
  if string.sub(progress, 1, bytes) == order then
    progress = '=' .. string.sub(progress, bytes + 1)
  end
  if last == string.sub(order, -TIME_BYTES) then
    last = ''
  end
  local outcome, sums = string.sub(detail[OUTCOME], 1, -2), detail[SUMS]
  return cmsgpack.pack({ detail[START], facts, outcome, progress, last, detail[NAMES], #sums > 1 and sums or sums[1] })
end

-- The names of a whole detail, from its value.
local function names_of(detail)
  local stored = detail[NAMES]
  if type(stored) == 'string' then
    return stored ~= '' and stored or {}
  end
  local names, i = {}, 1
  while stored[i] do
    if type(stored[i]) == 'string' then
      names[#names + 1] = stored[i]
      i = i + 1
    else
      local kind, position, length = stored[i], stored[i + 1], stored[i + 2]
      names[#names + 1] = KINDS[kind + 1] .. string.sub(detail[FACTS], position + 1, position + length)
      i = i + 3
    end
  end
  return names
end

local function joined_sums(old, new, changed)
  local sums, last = {}, 1
  for i = 1, MOST_SUMS do
    local from = changed[OF_FACTS[i] and FACTS or PROGRESS] and new or old
    sums[i] = from[i] or 0
    last = sums[i] ~= 0 and i or last
  end
  for i = last + 1, MOST_SUMS do
    sums[i] = nil
  end
  return sums
end

local function rewrite(details, at, value)
  local id, number, status, stored = details[at + ID_OF], split_head(value)
  local detail, candidate = unpacked(stored, status), unpacked(details[at + PACKED], details[at + STATUS])
  local start, names, sums = detail[START], names_of(detail), detail[SUMS]
  local effect, changed = join(detail, candidate, START, LAST, FACTS, CODES)
  if effect ~= APPLIED then
    return effect
  end
  local short = string.sub(details[at + TAIL], MS_BYTES + 1)
  -- Progress alone, the commonest change, moves no entry.
  local moves = changed[START] or changed[FACTS] or string.sub(detail[OUTCOME], -1) ~= status
  if moves then
    index('off', id, number, status, names, index_time(start_ms(start)) .. short)
  end
  count_all(number, status, sums, -1)
  if changed[FACTS] then
    number, detail[NAMES], names = pair_number(details[at + PAIR]), candidate[NAMES], details[at + TEXTS]
  end
  detail[SUMS] = joined_sums(sums, candidate[SUMS], changed)
  status = string.sub(detail[OUTCOME], -1)
  if moves then
    index('on', id, number, status, names, index_time(start_ms(detail[START])) .. short)
  end
  count_all(number, status, detail[SUMS], 1)
  put(written, id, number .. status .. packed(detail))
  return effect
end

local function merge_details(packed)
  local details = cmsgpack.unpack(packed)
  local ids, places = {}, {}
  for at = 0, #details - 1, PLACES do
    places[#places + 1] = at
    ids[#places] = details[at + ID_OF]
  end
  local stored = redis.call('HMGET', DETAILS, unpack(ids))
  local effects = {}
  for i, at in ipairs(places) do
    if stored[i] then
      effects[i] = rewrite(details, at, stored[i])
    else
      add(details, at)
      effects[i] = APPLIED
    end
  end
  return table.concat(effects)
end

-- Adds first: in a slot on the move, a script may not touch a key that it has emptied.
local function write_index(key, entries)
  if entries.on.n > 0 then
    redis.call('ZADD', key, unpack(entries.on, 1, entries.on.n))
  end
  if entries.off.n == 0 then
    return
  end
  local stays, gone = {}, {}
  for i = 2, entries.on.n, 2 do
    stays[entries.on[i]] = true
  end
  for i = 2, entries.off.n, 2 do
    if not stays[entries.off[i]] then
      gone[#gone + 1] = entries.off[i]
    end
  end
  if #gone > 0 then
    redis.call('ZREM', key, unpack(gone))
  end
end

-- All numbers of a pair stand in one field: readers read thousands of them.
local function write_pair_counts()
  local fields, moved = {}, {}
  for _, number in ipairs(pair_list) do
    local moves = pair_counts[number]
    if moves[1] ~= 0 or moves[2] ~= 0 or moves[3] ~= 0 then
      fields[#fields + 1], moved[#moved + 1] = 'f' .. number, moves
    end
  end
  if #fields == 0 then
    return
  end
  local words = {}
  for i, stored in ipairs(redis.call('HMGET', RECORD, unpack(fields))) do
    local a, b, c = string.match(stored or '0,0,0', '^(%d+),(%d+),(%d+)$')
    local moves = moved[i]
    words[2 * i - 1], words[2 * i] = fields[i], string.format('%.0f,%.0f,%.0f', a + moves[1], b + moves[2], c + moves[3])
  end
  redis.call('HSET', RECORD, unpack(words))
end

local function write_details()
  redis.call('HSET', DETAILS, unpack(written, 1, written.n))
  write_index(BY_STATUS, by_status)
  write_index(BY_PAIR, by_pair)
  write_index(BY_NAME, by_name)
  for field, by in pairs(counts) do
    if by ~= 0 then
      redis.call('HINCRBY', RECORD, field, decimal(by))
    end
  end
  write_pair_counts()
end

-- Adds the task keys that are new to those known, and keeps the smallest. Returns whether that changed them; those that
-- were known and are not kept are added to `gone`.
local function join_tasks(known, incoming, gone)
  local was, added = {}, 0
  for _, task in ipairs(known) do
    was[task] = true
  end
  for i = #FIELDS + 1, #incoming do
    if not was[incoming[i]] then
      known[#known + 1] = incoming[i]
      added = added + 1
    end
  end
  if added == 0 and #known <= MOST_TASKS then
    return false
  end
  table.sort(known, function(a, b)
    return greater(b, a)
  end)
  local pushed_out = false
  while #known > MOST_TASKS do
    local task = table.remove(known)
    if was[task] then
      gone[#gone + 1] = task
      pushed_out = true
    else
      added = added - 1
    end
  end
  return added > 0 or pushed_out
end

-- Keeps the record among those that run by itself; it has this outcome and last event.
local function list_record(outcome, last)
  if string.sub(outcome, -1) == OPEN then
    redis.call('ZADD', RUNNING, decimal(struct.unpack('>I7', last) - MS_BIAS), ID)
  else
    redis.call('ZREM', RUNNING, ID)
  end
end

-- The same among those whose details run.
local function list_details()
  local running = tonumber(redis.call('HGET', RECORD, 'n' .. OPEN))
  redis.call(running > 0 and 'SADD' or 'SREM', UNFINISHED, ID)
end

-- Whether an outcome that has changed is a transition, by the status letters before ('' for none) and after: all are but
-- those to RUNNING that come from none or RUNNING.
local function ended_or_reopened(before, after)
  return after ~= OPEN or (before ~= '' and before ~= OPEN)
end

local function merge_record(packed)
  local incoming = cmsgpack.unpack(packed)
  local state = redis.call('HMGET', RECORD, 'start', 'facts', 'outcome', 'progress', 'last', 'tasks', 'lists', 'gone')
  local tasks, gone = state[6] and cmsgpack.unpack(state[6]) or {}, state[8] and cmsgpack.unpack(state[8]) or {}
  for i = 1, #FIELDS do
    state[i] = state[i] or ''
  end
  local before = string.sub(state[3], -1)
  local effect, changed = join(state, incoming, START, LAST, FACTS, CODES)
  local written_fields = {}
  for i, field in ipairs(FIELDS) do
    if changed[i] then
      written_fields[#written_fields + 1] = field
      written_fields[#written_fields + 1] = state[i]
    end
  end
  local tasks_changed = join_tasks(tasks, incoming, gone)
  if tasks_changed then
    effect = APPLIED
    state[6] = cmsgpack.pack(tasks)
    written_fields[#written_fields + 1] = 'tasks'
    written_fields[#written_fields + 1] = state[6]
  end
  if effect == APPLIED then
    list_record(state[3], state[5])
  end
  local behind = changed[1] or changed[3] or tasks_changed or state[7] ~= ERA
  local packed_gone = #gone > 0 and cmsgpack.pack(gone) or ''
  if behind then
    written_fields[#written_fields + 1] = 'lists'
    written_fields[#written_fields + 1] = (#gone > 0 and '!' or '?') .. MERGE_ID
    if #gone > 0 then
      written_fields[#written_fields + 1] = 'gone'
      written_fields[#written_fields + 1] = packed_gone
    end
  end
  if #written_fields > 0 then
    redis.call('HSET', RECORD, unpack(written_fields))
  end
  if changed[3] and ended_or_reopened(before, string.sub(state[3], -1)) then
    return effect, state[1], state[3], state[6], packed_gone, before, state[2]
  end
  if behind then
    return effect, state[1], state[3], state[6], packed_gone
  end
  return effect
end

-- Notes when the record is due: no event counts as later than when it was written. What it claims beyond that is kept,
-- so that a replay does not bring back what was removed.
local function note_due()
  if tonumber(NEWEST) <= tonumber(NOW) then
    redis.call('ZADD', DUE, 'GT', NEWEST, ID)
    return
  end
  redis.call('ZADD', DUE, 'GT', NOW, ID)
  if tonumber(NEWEST) > tonumber(redis.call('HGET', RECORD, 'ahead') or NOW) then
    redis.call('HSET', RECORD, 'ahead', NEWEST)
  end
end

if OUTBOX then
  -- Fails where the key holds something else, before anything is written: an outcome that is stored is noted, too.
  redis.call('ZCARD', OUTBOX)
end
note_call(CALLS, ARGV[6])

local erased = redis.call('HGET', KEYS[14], ID)
if erased then
  if greater(erased, ARGV[12]) then
    return { '', SUPERSEDED, erased }
  end
  redis.call('ZADD', KEYS[15], NOW, ID)
end

local removed_at = redis.call('ZSCORE', REMOVED, ID)
if removed_at then
  if tonumber(NEWEST) <= tonumber(redis.call('HGET', CLAIMED, ID) or removed_at) then
    local details = ARGV[2] ~= '' and #cmsgpack.unpack(ARGV[2]) / PLACES or 0
    return { string.rep(SUPERSEDED, details), SUPERSEDED }
  end
  redis.call('ZREM', REMOVED, ID)
  redis.call('HDEL', CLAIMED, ID)
end

local answer = { ARGV[2] ~= '' and merge_details(ARGV[2]) or '' }
if written.n > 0 then
  write_details()
  if (counts['n' .. OPEN] or 0) ~= 0 then
    list_details()
  end
end
if ARGV[1] ~= '' then
  answer[2], answer[3], answer[4], answer[5], answer[6], answer[7], answer[8] = merge_record(ARGV[1])
end
if written.n > 0 or answer[2] == APPLIED then
  if redis.call('HINCRBY', RECORD, 'v', 1) == 1 then
    mark_layout(LAYOUT, MARK)
  end
  redis.call('HSET', RECORD, 'w', NOW)
  note_due()
end
local outcome, before = answer[4], answer[7]
if OUTBOX and before then
  put_in_outbox(OUTBOX, RECORD, ID, string.sub(outcome, 1, order_bytes(outcome)), cmsgpack.unpack(ARGV[14]))
end
return answer
