// Programs that a test needs and a user may lack.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

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

/** The same for an optional package with a native part. */
export function skipUnlessInstalled(name: string): string | false {
  try {
    createRequire(import.meta.url)(name);
    return false;
  } catch {
    if (process.env['CI'] === 'true') throw new Error(`CI must be able to compile ${name}.`);
    return `needs ${name}, which could not be compiled`;
  }
}

/** Where the shell finds it. */
export function programPath(command: string): string {
  return execFileSync('which', [command], { encoding: 'utf8' }).trim();
}
