-- Entries of details that follow a place in the order of time, status by status, all at one moment.
--
-- KEYS[1] bystatus lex zset
-- ARGV[1] time and id of the last detail seen, which need not be there any more; '\255' to begin
-- ARGV[2] letter of a status and ARGV[3] most entries to read of it, at least 1; ARGV[4], ARGV[5] and so on of others.
-- All of them together at most 3000.
--
-- Returns {entry, ...}, newest first, of each of these statuses. Cost: O(log(n) + entries). Only reads.

local found = {}
for i = 2, #ARGV, 2 do
  local high, low = '(' .. ARGV[i] .. ARGV[1], '[' .. ARGV[i]
  found[#found + 1] = redis.call('ZREVRANGEBYLEX', KEYS[1], high, low, 'LIMIT', 0, ARGV[i + 1])
end
return found
