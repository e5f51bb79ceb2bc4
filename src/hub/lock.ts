// A lock among processes that share a cache, perhaps on several machines: a file that its holder keeps touching.
// Invariant: a lock is broken only when its holder is known to be gone, or has not touched it for long.
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { hubLockPollMs, hubLockStaleMs, hubLockTouchMs } from '../limits.ts';
import { sleep } from './retry.ts';

type Holder = { readonly id: string; readonly machine: string; readonly pid: number };

/**
 * Runs `work` while no other process, and no other call here, holds `file`. Python's own locks lie beside
 * ours and are of another kind; what both may write is safe without them.
 */
export async function withLock<T>(file: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const holder: Holder = { id: randomUUID(), machine, pid: process.pid };
  await mkdir(path.dirname(file), { recursive: true });
  while (!(await taken(file, holder))) {
    if (!(await breakStale(file))) await sleep(hubLockPollMs, signal);
  }
  const touching = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => {});
  }, hubLockTouchMs);
  try {
    return await work();
  } finally {
    clearInterval(touching);
    // Whoever broke the lock meanwhile has put its own there.
    if ((await readHolder(file))?.id === holder.id) await rm(file, { force: true });
  }
}

async function taken(file: string, holder: Holder): Promise<boolean> {
  if (existsSync(file)) return false;
  const text = JSON.stringify(holder);
  // A link appears with its content, where a created file would be empty for a moment.
  const own = `${file}.${holder.id}`;
  try {
    await writeFile(own, text, { mode: 0o664 });
    await link(own, file).catch((error: NodeJS.ErrnoException) => {
      if (!['EPERM', 'ENOSYS', 'ENOTSUP'].includes(error.code ?? '')) throw error;
      return writeFile(file, text, { mode: 0o664, flag: 'wx' });
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(own, { force: true });
  }
}

/** True when the lock may be free now. */
async function breakStale(file: string): Promise<boolean> {
  const holder = await readHolder(file);
  if (!(await isStale(file, holder))) return false;
  // Moving is atomic: of those who found it stale one takes it away, and sees what it took.
  const moved = `${file}.${randomUUID()}`;
  try {
    await rename(file, moved);
  } catch {
    return true;
  }
  const broken = await readHolder(moved);
  // Somebody was faster and this is the lock of a third: it goes back, unless a fourth has the place.
  if (broken?.id !== holder?.id) await link(moved, file).catch(() => {});
  await rm(moved, { force: true });
  return true;
}

async function isStale(file: string, holder: Holder | undefined): Promise<boolean> {
  if (holder?.machine === machine && !isAlive(holder.pid)) return true;
  try {
    return Date.now() - (await stat(file)).mtimeMs > hubLockStaleMs;
  } catch {
    // Gone: the next try will tell.
    return false;
  }
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Where a process id means the same: one start of one machine, one container in it. */
const machine = machineName();

function machineName(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    // Not Linux, where containers do not share process tables either.
    return hostname();
  }
}
