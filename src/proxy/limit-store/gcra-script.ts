import { createHash } from 'node:crypto';

/**
 * GCRA for all rates of one client at once, by the clock of the store. Each key has the time, in microseconds, until which
 * what was asked for is paid, and goes by itself when that is over. The arguments are the interval and the tolerance of
 * each key. Gives 0 when the request may pass, or the microseconds until one may; then nothing was changed.
 */
export const GCRA_SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wait = 0
local paid = {}
for i, key in ipairs(KEYS) do
  paid[i] = math.max(now, tonumber(redis.call('GET', key) or '0'))
  wait = math.max(wait, paid[i] - now - ARGV[2 * i])
end
if wait > 0 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  local next = paid[i] + ARGV[2 * i - 1]
  redis.call('SET', key, string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
end
return 0
`.trim();

export const GCRA_SCRIPT_SHA = createHash('sha1').update(GCRA_SCRIPT).digest('hex');
