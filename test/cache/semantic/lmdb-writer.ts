// A process that puts entries into a cache with an embedded store and says which are acknowledged, until it is killed.
// Arguments: folder, first number. Each line: `put <number> <id>` or `deleted <number>`.
import { writeSync } from 'node:fs';
import { LmdbStore } from '../../../src/cache/semantic/lmdb-store.ts';
import { SemanticCache } from '../../../src/cache/semantic/semantic-cache.ts';
import { countingMetrics, limits, model, partition, put, silent } from './support.ts';

const [directory, first] = process.argv.slice(2);
const cache = await SemanticCache.open({
  model, store: new LmdbStore(directory!, silent), policy: { mode: 'cosine', threshold: 0.85 },
  limits: { ...limits, entriesMaxPerNamespace: 1_000_000 }, metrics: countingMetrics(), log: silent,
});
// Not through a stream, which could still hold it when the process is killed.
const say = (line: string) => void writeSync(1, `${line}\n`);
say('ready');
for (let number = Number(first); ; number += 4) {
  const batch = [number, number + 1, number + 2, number + 3];
  await Promise.all(batch.map(async (each) => {
    const { id } = await put(cache, `question number ${each}`, `answer ${each}`);
    say(`put ${each} ${id}`);
    if (each % 5 !== 0) return;
    await cache.delete(partition.namespace, { id });
    say(`deleted ${each}`);
  }));
}
