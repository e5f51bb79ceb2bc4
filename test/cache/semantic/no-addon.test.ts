// Where hnswlib-node could not be built: large partitions are scanned, and the log says so once.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const built = fileURLToPath(new URL('../../../src/', import.meta.url));

test('without the addon everything is found by scanning', (t) => {
  // A copy without node_modules above it.
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-no-addon-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const name of ['limits.js', 'errors.js', 'storage', 'cache/semantic']) cpSync(join(built, name), join(directory, name), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  writeFileSync(join(directory, 'main.js'), `
    import { Graphs } from './cache/semantic/graphs.js';
    import { VectorIndex } from './cache/semantic/vector-index.js';
    const warnings = [];
    const graphs = new Graphs(10, { warn: (_, message) => warnings.push(message) });
    const [one, two] = [new VectorIndex(3, graphs, false), new VectorIndex(3, graphs, false)];
    for (const index of [one, two]) for (let i = 0; i < 50; i += 1) index.add({ i }, Float32Array.of(Math.cos(i), Math.sin(i), 0));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const [found] = await one.nearest(Float32Array.of(Math.cos(7), Math.sin(7), 0), 1);
    console.log(JSON.stringify({ warnings, i: found.owner.i, graphs: one.graphSize + two.graphSize }));
    await graphs.close();
  `);
  const printed = JSON.parse(execFileSync(process.execPath, [join(directory, 'main.js')], { encoding: 'utf8' })) as Record<string, unknown>;
  assert.deepEqual([printed['i'], printed['graphs'], (printed['warnings'] as string[]).length], [7, 0, 1]);
  assert.match((printed['warnings'] as string[])[0]!, /hnswlib-node cannot be loaded/);
});
