// A process that writes rows to the embedded history and says which are acknowledged, until it is killed or done.
// Arguments: folder, first number, batches, rows a batch.
import { writeSync } from 'node:fs';
import { openLmdbHistory } from '../../src/history/lmdb.ts';
import { RowSource } from '../../src/history/row.ts';
import { entry } from './rows.ts';

const [directory, first, batches, rowsPerBatch] = process.argv.slice(2);
const store = await openLmdbHistory(directory!);
const source = new RowSource();
let number = Number(first);
for (let batch = 0; batch < Number(batches); batch += 1) {
  const rows = Array.from({ length: Number(rowsPerBatch) }, () => (
    source.row({ ...entry, version: `v${number % 3}`, requestId: String(number++) })));
  try {
    await store.append(rows);
    // Not through a stream, which could still hold it when the process is killed.
    writeSync(1, `${number}\n`);
  } catch (error) {
    writeSync(1, `failed ${(error as Error).message}\n`);
    number -= rows.length;
  }
  if (batch % 7 === 6) await store.prune({ rowsMax: 1_000_000, keepFromMs: 0 });
}
await store.close();
