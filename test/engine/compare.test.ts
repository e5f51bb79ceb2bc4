import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare, type CompareRequest } from '../../src/engine/compare.ts';
import type { ServerError } from '../../src/errors.ts';
import { floats, heldTensorModel, tensorInput, tensorOutput } from '../support/held-tensors.ts';

function version(name: string, init: { ratio: number; quality: number; runMs: number[]; output: number[] }) {
  let run = 0;
  return heldTensorModel({
    version: name,
    inputs: [tensorInput('level', { shape: [] })],
    outputs: [
      tensorOutput('y'),
      tensorOutput('ratio', { metric: { as: undefined, better: 'higher' } }),
      tensorOutput('predicted', { metric: { as: 'quality', better: 'higher' } }),
      tensorOutput('level_used', { metric: { as: undefined, better: undefined } }),
    ],
    runMs: () => init.runMs[run++ % init.runMs.length]!,
    answer: () => ({
      y: floats([init.output.length], ...init.output),
      ratio: floats([], init.ratio),
      predicted: floats([], init.quality),
      level_used: floats([], 0.5),
    }),
  });
}

const ask = (changes: Partial<CompareRequest> = {}): CompareRequest => ({
  fields: { version: 'a', level: 1 },
  metrics: ['ratio', 'quality', 'latency'],
  runs: 4,
  isCancelled: () => false,
  ...changes,
});

describe('compare', () => {
  const a = () => version('a', { ratio: 10, quality: 0.5, runMs: [99, 4, 2, 1, 3], output: [1, 2, 3] });
  const b = () => version('b', { ratio: 12.5, quality: 0.5, runMs: [99, 8], output: [1, 4, 2] });

  test('says which is better and by how much', async () => {
    const { rows, verdicts } = await compare([a(), b()], ask());
    assert.deepEqual(
      [...rows[1]!.metrics],
      [
        ['ratio', 12.5],
        ['quality', 0.5],
      ],
    );
    // The first run warms up and is not timed.
    assert.deepEqual(rows[0]!.latency, { count: 4, meanMs: 2.5, p50Ms: 2, p95Ms: 4, maxMs: 4 });
    assert.deepEqual(verdicts, [
      { metric: 'ratio', best: [1], by: 2.5, byPercent: 25 },
      { metric: 'quality', best: [0, 1], by: 0, byPercent: 0 },
      { metric: 'latency', best: [0], by: 6, byPercent: 75 },
    ]);
  });

  test('tells how far each pair is apart', async () => {
    const short = version('c', { ratio: 1, quality: 1, runMs: [1], output: [1] });
    const { differences } = await compare([a(), b(), short], ask());
    assert.deepEqual(
      differences.map(({ pair }) => pair),
      [
        [0, 1],
        [0, 2],
        [1, 2],
      ],
    );
    assert.deepEqual(differences[0]!.outputs, [{ field: 'y', isComparable: true, maxAbs: 2, meanAbs: 1 }]);
    assert.equal(differences[1]!.outputs[0]!.isComparable, false);
  });

  test('runs the versions in turns, each on inputs of its own', async () => {
    const models = [a(), b()];
    await compare(models, ask({ runs: 3 }));
    for (const model of models) assert.equal(model.runs.length, 4);
    const memory = models.flatMap((model) => model.runs.map(([level]) => (level![1].data as Float32Array).buffer));
    assert.equal(new Set(memory).size, memory.length);
  });

  test('has no winner where the manifest does not say what is good', async () => {
    const { rows, verdicts } = await compare([a(), b()], ask({ metrics: ['level_used'] }));
    assert.deepEqual([...rows[0]!.metrics], [['level_used', 0.5]]);
    assert.deepEqual([verdicts, rows[0]!.latency], [[], undefined]);
  });

  test('refuses a metric that none has, and data that fits none', async () => {
    await assert.rejects(
      compare([a(), b()], ask({ metrics: ['beauty'] })),
      (error: ServerError) => error.field === 'metrics',
    );
    await assert.rejects(compare([a(), b()], ask({ fields: {} })), (error: ServerError) => error.field === 'level');
  });
});
