-- include: read/details/between.lua
-- The members of the index by pair between two places in time, behind each of many heads.
--
-- KEYS[1] bypair lex zset
-- ARGV[1] time and short id before which they are, '\255' for all   ARGV[2] those of the oldest of them, included
-- ARGV[3] msgpack array of heads, at most 200   ARGV[4] most members to read, at most 1000
--
-- Returns {member, ...}, or nil where there are more. Cost: O(heads * log(n) + members), 3 to 7 us a head in a record of
-- a million. Only reads.

return members_between(KEYS[1], cmsgpack.unpack(ARGV[3]), ARGV[1], ARGV[2], tonumber(ARGV[4]))
