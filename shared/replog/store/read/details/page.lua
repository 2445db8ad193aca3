-- include: read/details/ranks.lua
-- include: read/within.lua
-- One page of the details of a record that have one of some statuses, newest first.
--
-- KEYS[1] record hash   KEYS[2] details hash   KEYS[3] bystatus lex zset
-- ARGV[1] offset   ARGV[2] limit, at most 1000   ARGV[3] bytes of stored details after which no more are read
-- ARGV[4] letters of these statuses   ARGV[5] letters of all statuses, ascending
--
-- Returns {counter of the record's changes or nil, number of details of these statuses, {id, ...}, {stored detail, ...}}:
-- of the first ids alone where all are more than the bytes, and of one at least.
-- Cost: O(log(details of the record) + limit + bytes), a few times that logarithm for several statuses. Only reads.

local parts, total, version = parts_of(KEYS[1], ARGV[4], ARGV[5])
local ids = ids_of(page_of(KEYS[3], parts, total, tonumber(ARGV[1]), tonumber(ARGV[2])))
return { version, total, ids, (values_within(KEYS[2], ids, tonumber(ARGV[3]), false)) }
