// Whose CPU time a measurement used: the kernel's own counters, read before and after. Linux only.
import { readFileSync } from 'node:fs';

/** Clock ticks a second of /proc: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Counters at one moment; take another and compare. */
export type CpuMark = {
  readonly atMs: number;
  /** Seconds each process used, by pid; the bench itself included. */
  readonly processes: ReadonlyMap<number, number>;
  /** Seconds the whole machine was busy; undefined where there is no /proc. */
  readonly machine: number | undefined;
};

export type CpuUse = {
  /** Cores each process kept busy, by pid. */
  readonly cores: ReadonlyMap<number, number>;
  /** Cores that went to anything but this bench: what disturbed the measurement. */
  readonly foreignCores: number | undefined;
};

/** Reads the counters of `pids` and of the bench itself. */
export function cpuMark(pids: readonly number[]): CpuMark {
  const processes = new Map<number, number>();
  for (const pid of [process.pid, ...pids]) processes.set(pid, processSeconds(pid));
  return { atMs: performance.now(), processes, machine: machineSeconds() };
}

/** What was used since `start`. Processes that `start` does not know count as foreign. */
export function cpuSince(start: CpuMark): CpuUse {
  const pids = [...start.processes.keys()].filter((pid) => pid !== process.pid);
  const end = cpuMark(pids);
  const seconds = (end.atMs - start.atMs) / 1000;
  const cores = new Map<number, number>();
  let own = 0;
  for (const [pid, before] of start.processes) {
    const used = Math.max(0, (end.processes.get(pid) ?? before) - before);
    cores.set(pid, used / seconds);
    own += used;
  }
  if (end.machine === undefined || start.machine === undefined) return { cores, foreignCores: undefined };
  return { cores, foreignCores: Math.max(0, (end.machine - start.machine - own) / seconds) };
}

/** A process's resident memory in bytes; undefined where there is no /proc. */
export function residentBytes(pid: number): number | undefined {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

function processSeconds(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name in parentheses may hold spaces; utime and stime are fields 14 and 15, the name is field 2.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

/** Everything but idle and waiting for disks; time stolen by the hypervisor counts as busy. */
function machineSeconds(): number | undefined {
  const line = /^cpu +(.*)$/m.exec(read('/proc/stat'))?.[1];
  if (line === undefined) return undefined;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(' ').map(Number);
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
