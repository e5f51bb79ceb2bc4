// A thread that sends requests, half of them on kept connections, until the server refuses to be connected to.
import { Agent, request } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

/** What went wrong, but for refused connections: with requests on a connection that was there, and on a new one. */
export type LoadOutcome = { answered: number; keptFailures: string[]; newFailures: string[] };

const { port } = workerData as { port: number };
const outcome: LoadOutcome = { answered: 0, keptFailures: [], newFailures: [] };
let isRefused = false;

await Promise.all(Array.from({ length: 16 }, async (_, index) => {
  const agent = new Agent({ keepAlive: index % 2 === 0, maxSockets: 1 });
  while (!isRefused) {
    const { result, isKept } = await post(agent);
    if (result === '200') outcome.answered += 1;
    else if (result === 'ECONNREFUSED') isRefused = true;
    else if (isKept) outcome.keptFailures.push(result);
    else outcome.newFailures.push(result);
  }
  agent.destroy();
}));
parentPort?.postMessage(outcome);

function post(agent: Agent): Promise<{ result: string; isKept: boolean }> {
  return new Promise((resolve) => {
    const sent = request({ port, host: '127.0.0.1', path: '/work', method: 'POST', agent }, (response) => {
      response.resume();
      response.on('end', () => settle(String(response.statusCode)));
      response.on('error', (error) => settle(error.message));
    });
    const settle = (result: string): void => resolve({ result, isKept: sent.reusedSocket });
    sent.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
    sent.end(String(Math.floor(Math.random() * 5)));
  });
}
