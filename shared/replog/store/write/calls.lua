-- Put before each script whose effect may not be lost unseen: notes that the bucket took this call of a merge, in `key`,
-- as bit `number`. What a failover takes away is missing there, and the checkpoints do not move on (advance.lua).
-- A bit and no counter: a call that is sent twice must not stand for another that was lost.

local CALLS_KEPT_S = 86400

local function note_call(key, number)
  redis.call('SETBIT', key, number, 1)
  redis.call('EXPIRE', key, CALLS_KEPT_S)
end
