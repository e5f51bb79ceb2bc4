// Runs the fuzzing client of the Autobahn test suite against a WebSocket with the server's own settings that sends back
// what it gets, which is what that suite asks of a server. By hand, because the suite needs Python 2:
//
//   npm run conformance -- <a python 2.7 that has autobahntestsuite 0.8.2>
//
// Cases of compression are left out: it is off. Prints the cases that are not OK, and ends with 1 when one failed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listen, loadUws } from '../../src/transport/listen.ts';
import { socketLimits } from '../../src/transport/websocket.ts';

/** The largest message of the suite's own limits tests. */
const messageBytesMax = 16 * 1024 * 1024;

type Case = { readonly behavior: string; readonly behaviorClose: string };

const uws = await loadUws();
const app = uws.App();
app.ws('/*', {
  ...socketLimits({ requestBytesMax: messageBytesMax, idleSeconds: 60 }),
  message: (socket, message, isBinary) => void socket.send(message, isBinary),
});
const { port } = await listen(uws, app, '127.0.0.1', 0);
const failed = await judge(process.argv[2] ?? 'python2');
app.close();
process.exitCode = failed ? 1 : 0;

async function judge(python: string): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'ortserve-autobahn-'));
  const settings = {
    outdir: join(folder, 'reports'),
    servers: [{ agent: 'ortserve', url: `ws://127.0.0.1:${port}` }],
    cases: ['*'],
    'exclude-cases': ['12.*', '13.*'],
    'exclude-agent-cases': {},
  };
  writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings));
  const run = 'from autobahntestsuite.wstest import run; run()';
  const child = spawn(python, ['-c', run, '-m', 'fuzzingclient', '-s', join(folder, 'settings.json')], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [status] = (await once(child, 'exit')) as [number | null];
  const report = JSON.parse(readFileSync(join(folder, 'reports/index.json'), 'utf8')) as { ortserve: Record<string, Case> };
  const counts: Record<string, number> = {};
  for (const [name, { behavior, behaviorClose }] of Object.entries(report.ortserve)) {
    const outcome = behaviorClose === 'OK' || behaviorClose === 'INFORMATIONAL' ? behavior : `${behavior}, close ${behaviorClose}`;
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (outcome !== 'OK') console.log(`${name}: ${outcome}`);
  }
  console.log(counts);
  rmSync(folder, { recursive: true });
  return status !== 0 || Object.keys(counts).some((outcome) => outcome.includes('FAILED'));
}
