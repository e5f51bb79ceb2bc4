// A thread that sends requests, half of them on kept connections, until the server refuses to be connected to.
import { Agent, request } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

/** `failures` has what went wrong with requests whose connection was there. */
export type LoadOutcome = { answered: number; failures: string[] };

const { port } = workerData as { port: number };
const outcome: LoadOutcome = { answered: 0, failures: [] };
let isRefused = false;

await Promise.all(Array.from({ length: 16 }, async (_, index) => {
  const agent = new Agent({ keepAlive: index % 2 === 0, maxSockets: 1 });
  while (!isRefused) {
    const result = await post(agent);
    if (result === '200') outcome.answered += 1;
    else if (result === 'ECONNREFUSED') isRefused = true;
    else outcome.failures.push(result);
  }
  agent.destroy();
}));
parentPort?.postMessage(outcome);

function post(agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const sent = request({ port, host: '127.0.0.1', path: '/work', method: 'POST', agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(String(response.statusCode)));
      response.on('error', (error) => resolve(error.message));
    });
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    sent.end(String(Math.floor(Math.random() * 5)));
  });
}
