-- Put before a script that changes the outcomes of records: notes each change in the bucket's outbox, from which collectors
-- publish it, in the same step as the change itself. Neither can be there without the other.

-- Adds to `outbox` that the record `id` ended or was reopened; `order` is the order key of the outcome that it has now, and
-- `names` are the fields of its hash `record` that are kept with that. The entries of one record are in the order of its
-- outcomes.
local function put_in_outbox(outbox, record, id, order, names)
  local entry, values = {}, redis.call('HMGET', record, unpack(names))
  for i, name in ipairs(names) do
    entry[2 * i - 1] = name
    entry[2 * i] = values[i] or ''
  end
  redis.call('ZADD', outbox, 0, id .. '\0' .. order .. cmsgpack.pack(entry))
end
