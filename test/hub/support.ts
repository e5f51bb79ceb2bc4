// What the tests of hub/ share: settings for a hub on loopback, an empty cache, and the tiny model as a repository.
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { pullModel } from '../../src/hub/pull.ts';
import type { PullOptions, Pulled } from '../../src/hub/pull.ts';
import { HubError } from '../../src/hub/hub-error.ts';
import type { HubSettings } from '../../src/hub/settings.ts';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { HubServer, commitOfTests, filesOf } from '../support/hub-server.ts';
import type { Files, Repo } from '../support/hub-server.ts';

export const repoId = 'tests/tiny-bert';
export const tinyFiles: Files = {
  ...filesOf(tinyBertDirectory),
  'README.md': Buffer.from('# Tiny'),
  'model.safetensors': Buffer.alloc(40_000, 1),
  'onnx/model_O4.onnx': Buffer.alloc(40_000, 2),
};
/** What of these serving needs. */
export const tinyServed = [
  '1_Pooling/config.json', 'config.json', 'modules.json', 'onnx/model.onnx', 'sentence_bert_config.json',
  'special_tokens_map.json', 'tokenizer.json', 'tokenizer_config.json',
];

export function newFolder(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ortserve-hub-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export type World = {
  readonly hub: HubServer;
  readonly settings: HubSettings;
  /** The repository's folder in the cache. */
  readonly folder: string;
  readonly snapshot: string;
  readonly pull: (changes?: Partial<HubSettings>, options?: Partial<PullOptions>) => Promise<Pulled>;
  readonly refusal: (changes?: Partial<HubSettings>, options?: Partial<PullOptions>) => Promise<HubError>;
};

/** A hub with the tiny model, or with `repo`, and an empty cache; waits are short. */
export async function newWorld(t: Pick<TestContext, 'after'>, repo: Repo = { files: tinyFiles }): Promise<World> {
  const hub = await HubServer.start(t, { [repoId]: repo });
  const settings: HubSettings = {
    endpoint: hub.url, token: undefined, cacheDirectory: path.join(newFolder(t), 'hub'), offline: false,
    requestTimeoutMs: 500, downloadTimeoutMs: 500, modelBytesMax: 10_000_000, triesMax: 3, retryMs: 5,
  };
  const folder = path.join(settings.cacheDirectory, 'models--tests--tiny-bert');
  const pull: World['pull'] = (changes = {}, options = {}) => (
    pullModel(repoId, { settings: { ...settings, ...changes }, precision: 'auto', ...options }));
  const refusal: World['refusal'] = async (changes, options) => {
    try {
      await pull(changes, options);
    } catch (error) {
      if (error instanceof HubError) return error;
      throw error;
    }
    throw new Error('the pull succeeded');
  };
  return { hub, settings, folder, snapshot: path.join(folder, 'snapshots', commitOfTests), pull, refusal };
}

/** Files below a folder, links that lead to files included. */
export function namesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(path.join(folder, name), { throwIfNoEntry: false })?.isDirectory() !== true)
    .sort();
}
