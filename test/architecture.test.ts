// The architecture as src/ARCHITECTURE.md states it, checked.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { repositoryDirectory } from './support/repository.ts';

const linesMax = 300;

const layers: readonly (readonly string[])[] = [
  ['limits', 'errors', 'byte-budget', 'within', 'proto', 'tensor', 'storage'],
  ['operation', 'metrics', 'config', 'access'],
  ['backend', 'batch', 'cache', 'upstream', 'native-workers'],
  ['registry', 'history', 'hub'],
  ['engine'],
  ['surface'],
  ['transport'],
  // For other programs and browsers: stands by itself.
  ['client'],
  ['server', 'assembly', 'command', 'log', 'version', 'main'],
];

/** Beyond the layers: who may import what across a thread or beside the line. */
const narrow: Readonly<Record<string, readonly string[]>> = {
  transport: ['transport', 'operation', 'byte-budget', 'errors', 'limits'],
  client: ['client'],
  'native-workers': ['native-workers', 'backend/protocol', 'backend/tensor-protocol', 'backend/check-protocol', 'backend/protobuf-file', 'backend/manifest', 'batch/pack', 'batch/select', 'tensor', 'limits', 'errors'],
};

const homes: Readonly<Record<string, RegExp>> = {
  '@grpc/reflection': /^src\/transport\/grpc\//,
  'grpc-health-check': /^src\/transport\/grpc\//,
  'uWebSockets.js': /^src\/transport\//,
  'rate-limiter-flexible': /^src\/transport\//,
  piscina: /^(src\/backend\/worker-pool|native-workers\/(embedding|tensor)-worker)\.ts$/,
  'onnxruntime-node': /^native-workers\//,
  '@huggingface/tokenizers': /^native-workers\//,
  'prom-client': /^src\/metrics(\.ts$|\/)/,
  pino: /^src\/log\.ts$/,
  ioredis: /^src\/cache\//,
  'lru-cache': /^src\/cache\//,
  undici: /^src\/upstream\//,
  lmdb: /^src\/(history|cache\/semantic)\//,
  'hnswlib-node': /^src\/cache\/semantic\//,
  '@grpc/grpc-js': /^src\/(backend\/triton|transport\/grpc)\//,
  '@grpc/proto-loader': /^src\/(proto|backend\/triton|surface\/kserve\/grpc)\//,
  mongodb: /^src\/history\//,
  'swagger-ui-dist': /^src\/surface\/docs\//,
  typebox: /^src\/(operation|config|config\/.*|surface\/.*|registry\/tensor-manifest)\.ts$/,
};

function sourceFiles(folder: string): string[] {
  return readdirSync(join(repositoryDirectory, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file));
}

const files = [...sourceFiles('src'), ...sourceFiles('native-workers')];
const read = (file: string) => readFileSync(join(repositoryDirectory, file), 'utf8');
const imports = (file: string) => [...read(file).matchAll(/^(?:import|export)\b[^'"]*?from '([^']+)'/gms)].map((match) => match[1]!);

/** `batch/select` of src/batch/select.ts; native-workers keeps its name. */
function place(file: string): string {
  return relative('src', file).replace(/^\.\.\//, '').replace(/\.ts$/, '');
}

const roomOf = (path: string) => path.split('/')[0]!;
const layerOf = (path: string) => layers.findIndex((rooms) => rooms.includes(roomOf(path)));

test('every file stands in a layer', () => {
  for (const file of files) assert.ok(layerOf(place(file)) >= 0, `${file} is in no layer`);
});

test('imports go down the layers or stay in one', () => {
  for (const file of files) {
    for (const target of imports(file).filter((specifier) => specifier.startsWith('.'))) {
      const path = place(relative(repositoryDirectory, resolve(repositoryDirectory, dirname(file), target)));
      assert.ok(layerOf(path) <= layerOf(place(file)), `${file} must not import ${path}, which stands above it`);
      const allowed = narrow[roomOf(place(file))];
      const fits = allowed?.some((prefix) => path === prefix || path.startsWith(`${prefix}/`)) ?? true;
      assert.ok(fits, `${file} must not import ${path}`);
    }
  }
});

test('each npm package is imported only in its home', () => {
  for (const file of files) {
    for (const specifier of imports(file)) {
      const name = Object.keys(homes).find((known) => specifier === known || specifier.startsWith(`${known}/`));
      if (name !== undefined) assert.match(file, homes[name]!, `${file} imports ${name}`);
      else assert.match(specifier, /^(\.|node:)/, `${file} imports ${specifier}, which has no home`);
    }
  }
});

test('only config.ts reads the environment', () => {
  for (const file of files) {
    if (file === 'src/config.ts') continue;
    // uWebSockets.js takes one limit from the environment and nowhere else; it is written, never read.
    const text = read(file).replaceAll(/process\.env(\.UWS_[A-Z_]+|\['UWS_[A-Z_]+'\]) (\?\?)?=/g, '').replaceAll(/^\s*\/\/.*$/gm, '');
    assert.ok(!text.includes('process.env'), `${file} reads process.env`);
  }
});

test(`no file is longer than ${linesMax} lines`, () => {
  for (const file of [...files, ...sourceFiles('bench'), ...sourceFiles('test')]) {
    const lines = read(file).split('\n').length;
    assert.ok(lines <= linesMax, `${file} has ${lines} lines`);
  }
});

test('every path that ARCHITECTURE.md names exists', () => {
  const named = [...read('src/ARCHITECTURE.md').matchAll(/(?:^|[`\s])((?:[a-z-]+\/)+(?:[a-z.-]*\.ts|[a-z-]*)|[a-z-]+\.ts)(?=[`\s;,.)])/gm)];
  assert.ok(named.length > 20);
  for (const [, path] of named) {
    const found = [path!, join('src', path!)].some((candidate) => {
      return existsSync(join(repositoryDirectory, candidate)) || existsSync(join(repositoryDirectory, `${candidate}.ts`));
    });
    assert.ok(found, `ARCHITECTURE.md names ${path}, which does not exist`);
  }
});
