// The end of a process that cannot end by itself, because native code of it loops, and the one that takes its place.
import { spawn } from 'node:child_process';

/** The command line that this process was started with. */
const command = (): string[] => [...process.execArgv, ...process.argv.slice(1)];

/**
 * Starts the program anew, with the same arguments, environment and standard streams: in this process where Node can
 * (22.15 and later, not on Windows), so that whoever waits for it notices nothing; else in a new one.
 */
export function replaceProcess(): never {
  const { execve } = process as { execve?: (file: string, args: readonly string[]) => never };
  if (execve !== undefined && process.platform !== 'win32') execve.call(process, process.execPath, [process.execPath, ...command()]);
  // The end of process 1 takes all others of the container along, and the container is started again.
  if (process.pid !== 1) spawn(process.execPath, command(), { stdio: 'inherit' }).unref();
  return killProcess();
}

/** At once, whatever runs: process.exit would wait for native code, and abort in it. */
export function killProcess(): never {
  process.kill(process.pid, 'SIGKILL');
  // Process 1 of a container is spared its own signals, but not its own faults.
  process.abort();
}
