// The service whose place this takes (seed 003), request by request on the demo models.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { scene, sensors } from '../../support/tensor-models.ts';
import { client } from './client.ts';

describe('POST /models/{version}/inference', () => {
  test('answers the request in the README', async (t) => {
    const call = client(t);
    const answer = await call('POST /models/1.0/inference', {
      version: '1.0',
      image: [[[0.5, 0.5, 0.5]]],
      compression_level: 0.8,
      target_quality: 0.8,
    });
    assert.equal(answer.status, 200);
    const body = answer.json();
    assert.deepEqual(Object.keys(body), [
      'version',
      'compressed',
      'temporal_out',
      'predicted',
      'metrics',
      'compression_ratio',
      'inference_time_ms',
      'timestamp',
    ]);
    assert.equal(body.version, '1.0');
    assert.deepEqual([body.compressed.length, body.temporal_out[0].length, body.predicted[0].length], [1, 32, 32]);
    assert.deepEqual(Object.keys(body.metrics), ['compression_ratio', 'predicted_quality', 'adjusted_compression']);
    assert.equal(body.compression_ratio, body.metrics.compression_ratio);
    assert.equal(body.metrics.adjusted_compression, 0.85);
    assert.ok(body.inference_time_ms > 0);
    assert.match(body.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/);
  });

  test('takes every field of the schema', async (t) => {
    const call = client(t);
    const image = scene(16, 24);
    const answer = await call('POST /models/1.1/inference', {
      version: '1.1',
      image,
      ...sensors(),
      compression_level: 0.1,
      target_quality: 0.8,
      return_reconstruction: true,
      return_metrics: false,
    });
    const body = answer.json();
    assert.equal('metrics' in body, false);
    assert.ok(body.compression_ratio > 1);
    assert.deepEqual(
      [body.reconstructed_image.length, body.reconstructed_image[0].length, body.reconstructed_image[0][0].length],
      [16, 24, 3],
    );
    const errors = image
      .flat(2)
      .map((value, i) => Math.abs(value - (body.reconstructed_image.flat(2) as number[])[i]!));
    assert.ok(Math.max(...errors) < 0.1, String(Math.max(...errors)));
  });

  test('needs no field at all', async (t) => {
    const call = client(t);
    for (const body of [{}, { image: null, lidar: null, imu: null, audio: null }, { lidar: [], imu: [] }]) {
      const answer = (await call('POST /models/1.0/inference', { ...body, return_reconstruction: true })).json();
      assert.deepEqual([answer.compression_ratio, answer.reconstructed_image], [1, []]);
    }
  });

  test('gives the same for the same image in any form', async (t) => {
    const call = client(t);
    const image = scene(9, 10);
    const flat = image.flat(2);
    const data = Buffer.from(Float32Array.from(flat).buffer).toString('base64');
    const forms = [image, { shape: [9, 10, 3], data: flat }, { shape: [9, 10, 3], datatype: 'float32', data }];
    const answers: unknown[] = [];
    for (const form of forms)
      answers.push((await call('POST /models/1.0/inference', { image: form })).json().compressed);
    assert.deepEqual(answers[1], answers[0]);
    assert.deepEqual(answers[2], answers[0]);
  });

  const wrong: readonly (readonly [body: unknown, field: string | undefined])[] = [
    [{ compression_level: 0.05 }, 'compression_level'],
    [{ compression_level: 1.01 }, 'compression_level'],
    [{ compression_level: '0.8' }, 'compression_level'],
    [{ compression_level: [0.8] }, 'compression_level'],
    [{ target_quality: -0.1 }, 'target_quality'],
    [{ return_metrics: 'no' }, 'return_metrics'],
    [{ imu: [1, 2, 3, 4, 5] }, 'imu'],
    [{ imu: [1, 2, 3, 4, 5, null] }, 'imu[5]'],
    [{ lidar: [[1]] }, 'lidar'],
    [{ lidar: [1e39] }, 'lidar[0]'],
    [{ audio: [1, 2] }, 'audio'],
    [{ audio: [[1, 2], [3]] }, 'audio[1]'],
    [
      {
        image: [
          [[0, 0, 0]],
          [
            [0, 0, 0],
            [0, 0, 0],
          ],
        ],
      },
      'image[1]',
    ],
    [
      {
        image: [
          [
            [0, 0, 0],
            [0, 0],
          ],
        ],
      },
      'image[0][1]',
    ],
    [
      {
        image: [
          [
            [0, 0, 0],
            [0, 0, 1.5],
          ],
        ],
      },
      'image[0][1][2]',
    ],
    [{ image: [[[0, 0]]] }, 'image'],
    [{ image: { shape: [2 ** 31 - 1, 0, 3], data: [] } }, 'image.data'],
    [{ version: '1.1' }, 'version'],
    [[], undefined],
    ['"text"', undefined],
  ];
  test('refuses what does not fit, by name', async (t) => {
    const call = client(t);
    for (const [body, field] of wrong) {
      const answer = await call('POST /models/1.0/inference', body);
      const { detail, extra, status_code: status } = answer.json();
      assert.deepEqual([answer.status, status], [400, 400], detail);
      assert.equal(extra?.[0].key, field, detail);
    }
    const raw = await call('POST /models/1.0/inference', '{"lidar": [NaN]}');
    assert.deepEqual([raw.status, raw.json().code], [400, 'JSON_INVALID']);
    const stats = (await call('GET /models/1.0/stats')).json();
    assert.equal(stats.failures, stats.requests);
  });

  test('does not know a model that is not there', async (t) => {
    const call = client(t);
    for (const version of ['9.9', '__proto__', '..%2F..%2Fetc', 'compressor:9']) {
      const answer = await call(`POST /models/${version}/inference`, {});
      assert.deepEqual([answer.status, answer.json().code], [404, 'MODEL_NOT_FOUND']);
    }
  });
});

describe('POST /models/{version}/inference/batch', () => {
  test('answers each item in its place', async (t) => {
    const call = client(t);
    const items = [{ imu: [1, 2, 3, 4, 5, 6] }, { imu: [1] }, 'text', { image: [[[0.1, 0.2, 0.3]]] }, null];
    for (const body of [{ requests: items }, items]) {
      const answer = (await call('POST /models/1.0/inference/batch', body)).json();
      assert.deepEqual([answer.version, answer.count, answer.succeeded, answer.failed], ['1.0', 5, 2, 3]);
      assert.equal(answer.results[1].error.extra[0].key, 'imu');
      assert.deepEqual(
        [2, 4].map((i) => answer.results[i].error.status_code),
        [400, 400],
      );
      const single = (await call('POST /models/1.0/inference', items[3])).json();
      assert.deepEqual(answer.results[3].compressed, single.compressed);
    }
  });

  test('takes up to a hundred', async (t) => {
    const call = client(t);
    const of = (count: number) =>
      call(
        'POST /models/1.1/inference/batch',
        Array.from({ length: count }, (_, i) => ({ lidar: [i] })),
      );
    const full = (await of(100)).json();
    assert.equal(full.succeeded, 100);
    full.results.forEach((result: { compressed: number[][] }, i: number) =>
      assert.equal(result.compressed[0]![7], i === 0 ? 1 : i),
    );
    assert.deepEqual([(await of(101)).json().code, (await of(0)).json().code], ['BATCH_TOO_LARGE', 'INPUT_EMPTY']);
    assert.equal((await call('POST /models/1.1/inference/batch', { requests: {} })).json().extra[0].key, 'requests');
  });
});
