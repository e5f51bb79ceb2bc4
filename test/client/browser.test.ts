// The client in a real Chromium, loaded as the module that the package ships.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { programPath, skipUnlessRuns } from '../support/programs.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { startServerProcess } from '../support/server-process.ts';

const chromium = process.env['CHROMIUM'] ?? 'chromium';
const clientFolder = join(repositoryDirectory, 'dist/src/client');

const page = `<!doctype html><title>test</title>
<script type="module">import * as client from '/client/client.js'; globalThis.ortserve = client;</script>`;

/** A page of another origin than the server's, with the client's files beside it. */
async function servePage(): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const name = /^\/client\/([a-z-]+\.js)$/.exec(request.url ?? '')?.[1];
    if (name === undefined) return void response.writeHead(200, { 'content-type': 'text/html' }).end(page);
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync(join(clientFolder, name)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

/** Runs in the page. */
async function inPage(serverUrl: string, apiKey: string): Promise<object> {
  const { Client, RequestError } = (globalThis as unknown as { ortserve: typeof import('../../src/client/client.ts') }).ortserve;
  const client = new Client({ url: serverUrl, apiKey });
  const texts = Array.from({ length: 200 }, (_, i) => `text number ${i}`);
  const { vectors, dimension, tokens } = await client.embed('tiny-bert', texts);
  const stream = await client.stream();
  let equal = 0;
  for await (const { index, vector } of stream.embed('tiny-bert', texts)) {
    if (vector.every((value, i) => value === vectors[index]![i])) equal += 1;
  }
  const imu = { datatype: 'float32', shape: [6], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  const outputs = Object.keys((await stream.infer('1.0', { imu })).tensors);
  stream.close();
  const refused = await client.embed('none', 'x').catch((error: unknown) => error);
  return { dimension, tokens: tokens > 0, equal, outputs, refused: refused instanceof RequestError && refused.code };
}

test('the client in Chromium', { skip: skipUnlessRuns('chromium', chromium, '--version') }, async (t) => {
  const apiKey = 'a-key-(with)-everything/%';
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, API_KEY: apiKey });
  const pages = await servePage();
  t.after(() => pages.close());
  const browser = await puppeteer.launch({ executablePath: programPath(chromium), headless: true, args: ['--no-sandbox'] });
  t.after(() => browser.close());
  const tab = await browser.newPage();
  await tab.goto(pages.url);
  await tab.waitForFunction('globalThis.ortserve');
  const found = await tab.evaluate(inPage, server.url, apiKey);
  assert.deepEqual(found, {
    dimension: 16, tokens: true, equal: 200, outputs: ['compressed', 'temporal_out', 'predicted'], refused: 'MODEL_NOT_FOUND',
  });
});

test('no file of the client imports anything but its neighbours', () => {
  for (const name of ['client', 'errors', 'frames', 'retry', 'stream', 'streamed-call']) {
    const text = readFileSync(join(clientFolder, `${name}.js`), 'utf8');
    for (const [, from] of text.matchAll(/from '([^']+)'/g)) assert.match(from!, /^\.\/[a-z-]+\.js$/);
    assert.doesNotMatch(text, /\b(Buffer|process)\b/);
  }
});
