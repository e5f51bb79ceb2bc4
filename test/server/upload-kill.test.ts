// Kill -9 at moments of uploads: after the restart every model is whole or absent, and nothing else is there.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { doublingOf } from '../support/hostile-models.ts';
import { startServerProcess } from '../support/server-process.ts';
import { until } from '../support/until.ts';

const rounds = Number(process.env.KILL_ROUNDS ?? 10);
/** Kills fall within so many times what one upload takes: before, in and after all steps of several. */
const uploadsBeforeKillMax = 4;
const file = doublingOf(8 * 1024 * 1024);

test(`after ${rounds} kills, models are whole or absent`, { timeout: 300_000 }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-models-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const options = { MODEL_PATH: tinyBertDirectory, MODEL_DIR: directory, ALLOW_UPLOAD: 'true' };
  const acknowledged = new Set<string>();
  let cut = 0;
  let uploadMs = 0;
  for (let round = 0; round < rounds; round += 1) {
    const server = await startServerProcess(t, options);
    assert.deepEqual(readdirSync(directory).filter((name) => name.startsWith('.')), [], 'staging folders are gone');
    const uploads = [0, 1, 2].map(async (lane) => {
      for (let i = 0; ; i += 1) {
        const version = `${round}.${lane}.${i}`;
        const form = new FormData();
        form.set('version', version);
        form.set('name', 'killed');
        form.set('manifest', '{"description": "whole"}');
        form.set('file', new Blob([file]), 'model.onnx');
        const startedMs = performance.now();
        try {
          const answer = await fetch(`${server.url}/models/upload`, { method: 'POST', body: form });
          assert.equal(answer.status, 200, await answer.text());
          acknowledged.add(version);
          uploadMs = performance.now() - startedMs;
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
          cut += 1;
          return;
        }
      }
    });
    // The first round shows how long one takes here.
    if (uploadMs === 0) await until(() => uploadMs > 0, 'an upload was answered');
    await sleep((uploadsBeforeKillMax * uploadMs * (round + Math.random())) / rounds);
    await server.stop('SIGKILL');
    await Promise.all(uploads);
  }
  const server = await startServerProcess(t, options);
  const { models } = (await (await fetch(`${server.url}/models`)).json()) as { models: { name: string; version: string }[] };
  const listed = models.filter(({ name }) => name === 'killed').map(({ version }) => version);
  for (const version of acknowledged) assert.ok(listed.includes(version), `${version} was answered and is gone`);
  const folder = path.join(directory, 'killed');
  assert.deepEqual(listed.toSorted(), readdirSync(folder).toSorted());
  for (const version of listed) {
    assert.deepEqual(readdirSync(path.join(folder, version)).sort(), ['manifest.json', 'model.onnx']);
    assert.ok(readFileSync(path.join(folder, version, 'model.onnx')).equals(file), version);
  }
  assert.ok(cut > 0, 'no upload was cut');
  t.diagnostic(`${acknowledged.size} answered, ${listed.length} listed, ${cut} cut`);
});

