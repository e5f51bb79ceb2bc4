// How many cores this process may use: what `auto` means for threads.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/**
 * Cores by affinity, and by the container's CPU quota, which Node 20 does not look at: with `--cpus=2` on a
 * machine of 64 cores, 64 threads would spend their time being stopped.
 */
export function coresAvailable(readText: (file: string) => string = (file) => readFileSync(file, 'utf8')): number {
  const quota = quotaV2(readText) ?? quotaV1(readText) ?? Infinity;
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(quota)));
}

function quotaV2(readText: (file: string) => string): number | undefined {
  const [quota, period] = (textOrNothing(readText, '/sys/fs/cgroup/cpu.max') ?? '').trim().split(' ');
  return ratio(quota, period);
}

function quotaV1(readText: (file: string) => string): number | undefined {
  const quota = textOrNothing(readText, '/sys/fs/cgroup/cpu/cpu.cfs_quota_us');
  const period = textOrNothing(readText, '/sys/fs/cgroup/cpu/cpu.cfs_period_us');
  return ratio(quota, period);
}

/** Undefined for `max`, for -1 and for anything unreadable: no quota. */
function ratio(quota: string | undefined, period: string | undefined): number | undefined {
  const cores = Number(quota) / Number(period);
  return Number.isFinite(cores) && cores > 0 ? cores : undefined;
}

function textOrNothing(readText: (file: string) => string, file: string): string | undefined {
  try {
    return readText(file);
  } catch {
    return undefined;
  }
}
