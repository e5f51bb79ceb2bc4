// Programs that a test needs and a user may lack.
import { execFileSync } from 'node:child_process';

/** For a test's `skip`: why it cannot run here, or false. In CI what is missing is an error. */
export function skipUnlessRuns(what: string, command: string, ...args: readonly string[]): string | false {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return false;
  } catch {
    if (process.env['CI'] === 'true') throw new Error(`CI must provide ${what}.`);
    return `needs ${what}`;
  }
}

/** Where the shell finds it. */
export function programPath(command: string): string {
  return execFileSync('which', [command], { encoding: 'utf8' }).trim();
}
