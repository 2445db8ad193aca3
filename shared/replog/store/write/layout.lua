-- Put before each script that may bring the first record or task into a bucket: writes the bucket's mark, which says in
-- which layout the bucket is, unless it has one. In the same step as the data: there is none without a mark.

local function mark_layout(key, mark)
  redis.call('SET', key, mark, 'NX')
end
