// Several requests to a server at once, as many as it is worth.
import { warmRequestsAtOnce } from '../limits.ts';

/** Calls `send` for each item, a few at the same time; rejects with the first failure. */
export async function sendAll<Item>(items: AsyncIterable<Item>, send: (item: Item) => Promise<void>): Promise<void> {
  const running = new Set<Promise<void>>();
  for await (const item of items) {
    const sending = send(item).then(() => void running.delete(sending));
    // The first failure is told; others of the same moment end with it.
    sending.catch(() => {});
    running.add(sending);
    if (running.size >= warmRequestsAtOnce) await Promise.race(running);
  }
  await Promise.all(running);
}
