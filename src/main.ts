#!/usr/bin/env node
// The program: reads the command line, serves until a signal, ends with a code that says why.
import { ExitError, exitCodes, readCommandLine } from './command/cli.ts';
import { timerMsMax } from './config/option.ts';
import type { Config } from './config.ts';
import { createLog, type Log } from './log.ts';
import { killProcess, replaceProcess } from './assembly/replace.ts';
import type { Server } from './server.ts';
import { packageVersion } from './version.ts';

try {
  const invocation = readCommandLine(process.argv.slice(2));
  if (invocation.command === 'version') {
    console.log(packageVersion());
  } else if (invocation.command === 'serve') {
    await serve(invocation.config, invocation.warnings);
  } else if (invocation.command === 'pull') {
    for (const warning of invocation.warnings) console.error(warning);
    const { pull } = await import('./command/pull.ts');
    await pull(invocation.repo, invocation.config);
  } else if (invocation.command === 'warm') {
    for (const warning of invocation.warnings) console.error(warning);
    const { warm } = await import('./command/warm.ts');
    await warm(invocation.file, invocation.config);
  } else if (invocation.command === 'cache') {
    for (const warning of invocation.warnings) console.error(warning);
    const { runCacheCommand } = await import('./command/cache-command.ts');
    await runCacheCommand(invocation.words, invocation.config);
  } else {
    for (const warning of invocation.warnings) console.error(warning);
    process.stdout.write(`${invocation.text.trimEnd()}\n`);
  }
} catch (error) {
  if (!(error instanceof ExitError)) {
    // A bug, or a fault of the machine that has no words of ours. Thrown on, it would end with Node's own code.
    console.error(error);
    process.exit(exitCodes.internal.code);
  }
  console.error(`ortserve: ${error.message}`);
  process.exitCode = error.exitCode;
}

async function serve(config: Config, warnings: readonly string[]): Promise<void> {
  const log = createLog(config);
  let signalled: NodeJS.Signals | undefined;
  let onSignal = (signal: NodeJS.Signals) => {
    if (signalled !== undefined) killProcess();
    signalled = signal;
  };
  // From the start, since process 1 of a container is spared the signals that nobody listens for; and for good, since with
  // the last listener goes a signal that has come and was not told yet.
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, (signal) => onSignal(signal));
  for (const warning of warnings) log.warn(warning);
  // The parts that serve are loaded only here: --help need not wait for them.
  const { startServer } = await import('./server.ts');
  const { KeyListError } = await import('./access/keys.ts');
  const { ManifestError } = await import('./registry/manifest.ts');
  const { ListenError } = await import('./transport/listen.ts');
  let server: Server;
  try {
    server = await startServer(config, log);
  } catch (error) {
    if (error instanceof ManifestError) throw new ExitError('config', error.message);
    if (error instanceof KeyListError) throw new ExitError('config', `API_KEYS_FILE: ${error.message}`);
    if (error instanceof ListenError) throw new ExitError('unavailable', error.message);
    throw error;
  }
  let state: 'serving' | 'replacing' | 'stopping' = 'serving';
  let isReady = false;
  const finish = (isLate: boolean) => {
    if (isLate) log.error('requests still ran at the shutdown deadline; killing the process');
    else log.info('stopped');
    // A model that hangs while the server starts would hang again.
    if (state === 'replacing' && isReady && config.onStuck === 'replace') replaceProcess();
    if (isLate || server.stuck.names.length > 0) killProcess();
  };
  const stop = (signal: NodeJS.Signals) => {
    if (state === 'stopping') killProcess();
    const isDraining = state === 'replacing';
    state = 'stopping';
    if (!isDraining) void drain(server, config, log, { signal }, finish);
  };
  onSignal = stop;
  if (signalled !== undefined) stop(signalled);
  void server.stuck.any.then(() => {
    if (state !== 'serving') return;
    state = 'replacing';
    void drain(server, config, log, { stuck: server.stuck.names }, finish);
  });
  // A bug nobody caught: what runs may still finish, then somebody restarts the process.
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'a bug that nobody caught; stopping');
    process.exitCode = exitCodes.internal.code;
    if (state !== 'stopping') stop('SIGTERM');
  });
  try {
    await server.ready();
    isReady = true;
  } catch {
    // The log has said why.
    if (state !== 'serving') return;
    process.exitCode = exitCodes.config.code;
    await server.close();
  }
}

/** Lets finish what runs, until the deadline. The process ends by itself once nothing is left open. */
async function drain(
  server: Server, config: Config, log: Log, reason: object, finish: (isLate: boolean) => void,
): Promise<void> {
  log.info(reason, 'draining');
  const deadline = setTimeout(() => finish(true), Math.min(timerMsMax, config.drainDelayMs + config.shutdownTimeoutMs));
  deadline.unref();
  await server.close();
  finish(false);
}
