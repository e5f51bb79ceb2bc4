// A model of the hub, whole in the cache: which commit, which files, what is missing, then links to all of it.
// Order of trust: what the cache has of a commit never changes; only what a branch points to is asked again.
import { statfs } from 'node:fs/promises';
import { hubDownloadsAtOnce } from '../limits.ts';
import { thisCpu } from '../registry/onnx-file.ts';
import type { Cpu, Precision } from '../registry/onnx-file.ts';
import { RepoCache } from './cache.ts';
import { downloadBlob, lackingBytes } from './download.ts';
import { HubError, asDiskError, sizeText } from './hub-error.ts';
import { describeFile, fetchListing } from './listing.ts';
import type { HubFile, ListedFile, Listing } from './listing.ts';
import { isSafePath, parseRepo } from './names.ts';
import type { RepoName } from './names.ts';
import { modulesFile, planFiles } from './plan.ts';
import type { HubSettings } from './settings.ts';

export { HubError } from './hub-error.ts';
export { hubSettings } from './settings.ts';
export type { HubSettings } from './settings.ts';

export type PullOptions = {
  readonly settings: HubSettings;
  readonly precision: Precision;
  /** The CPU that the ONNX file is for; this machine's when absent. */
  readonly cpu?: Cpu;
  readonly signal?: AbortSignal;
  /** Bytes that are here, of those to be downloaded; called often. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** One sentence for the operator: the model is served, but not as asked. */
  readonly onWarning?: (sentence: string) => void;
};

export type Pulled = { readonly directory: string; readonly commit: string };

/**
 * Brings what serving `repo` (`org/name` or `org/name@revision`) needs into the cache; the folder can be read
 * as any model folder. Asks nothing for a commit that is whole there. Throws HubError.
 */
export async function pullModel(repo: string, options: PullOptions): Promise<Pulled> {
  const name = parseRepo(repo);
  const pull = new Pull(name, options);
  try {
    return await (options.settings.offline ? pull.fromCache() : pull.fromHub());
  } catch (error) {
    throw asDiskError(error, name.id);
  }
}

type WithModules = {
  /** The text of modules.json; undefined when there is none. */
  readonly modules: string | undefined;
  readonly files: readonly ListedFile[];
};

class Pull {
  readonly #name: RepoName;
  readonly #options: PullOptions;
  readonly #cache: RepoCache;

  constructor(name: RepoName, options: PullOptions) {
    this.#name = name;
    this.#options = options;
    this.#cache = new RepoCache(options.settings.cacheDirectory, name.id);
  }

  async fromCache(): Promise<Pulled> {
    const { id, revision } = this.#name;
    const lacks = (what: string, cause?: unknown): HubError => new HubError('refused', 'HF_HUB_OFFLINE is set, and ' +
      `the cache ${this.#options.settings.cacheDirectory} ${what}. Pull it while the hub can be reached.`, { cause });
    const commit = await this.#cache.commitOf(revision);
    if (commit === undefined) throw lacks(`has no ${id} at ${revision}`);
    const listing = await this.#cached(commit);
    if (listing.files.length === 0) throw lacks(`has nothing of ${id} at ${commit}`);
    let missing: readonly ListedFile[];
    try {
      missing = await this.#missing(listing);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      throw lacks(`has too little of ${id}: ${error.message.replace(/\.$/, '')}`, error);
    }
    if (missing.length > 0) throw lacks(`lacks of ${id}: ${missing.map(({ path }) => path).join(', ')}`);
    return this.#pulled(commit);
  }

  async fromHub(): Promise<Pulled> {
    const { settings, signal, onWarning } = this.#options;
    const { id, revision } = this.#name;
    const known = await this.#knownWhole();
    // A commit's files never change; a branch may have moved. Without a listing, names alone do not prove it whole.
    if (known === revision && (await this.#cache.listing(known)) !== undefined) return this.#pulled(known);
    let listing: Listing;
    try {
      // With something to serve, a hub that is down is not waited for.
      listing = await fetchListing(settings, this.#name, known === undefined ? settings.triesMax : 1, signal);
      await this.#download(listing);
    } catch (error) {
      if (known === undefined || !(error instanceof HubError) || error.reason !== 'unavailable') throw error;
      onWarning?.(`${error.message} ${id} is served from the cache, as of ${known}.`);
      return this.#pulled(known);
    }
    await this.#cache.keepRef(revision, listing.commit);
    return this.#pulled(listing.commit);
  }

  /** The commit that could be served without the hub. */
  async #knownWhole(): Promise<string | undefined> {
    const commit = await this.#cache.commitOf(this.#name.revision);
    if (commit === undefined) return undefined;
    const listing = await this.#cached(commit);
    try {
      return (await this.#missing(listing)).length === 0 ? commit : undefined;
    } catch (error) {
      // What the cache has does not make a model; the hub may have more.
      if (error instanceof HubError) return undefined;
      throw error;
    }
  }

  async #cached(commit: string): Promise<Listing> {
    const listing = await this.#cache.listing(commit);
    if (listing !== undefined) return listing;
    const names = (await this.#cache.namesIn(commit)).filter(isSafePath);
    return { commit, files: names.map((path) => ({ path, bytes: undefined, etag: undefined })) };
  }

  /** Of the files that serving needs, those that the snapshot lacks. Asks nobody. */
  async #missing(listing: Listing): Promise<readonly ListedFile[]> {
    const modules = listing.files.find(({ path }) => path === modulesFile);
    const text = modules && await this.#cache.read(listing.commit, modules);
    // Its content says which others are needed.
    if (modules !== undefined && text === undefined) return [modules];
    return this.#cache.missing(listing.commit, this.#plan(listing, text));
  }

  #plan({ files }: Listing, modules: string | undefined): readonly ListedFile[] {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const { precision, cpu = thisCpu() } = this.#options;
    const paths = planFiles([...byPath.keys()], { id: this.#name.id, precision, cpu, modules });
    return paths.map((path) => byPath.get(path)!);
  }

  async #download(listing: Listing): Promise<void> {
    const { commit } = listing;
    const { modules, files } = await this.#fetchModules(listing);
    const planned = this.#plan({ commit, files }, modules);
    const missing = await this.#described(commit, await this.#cache.missing(commit, planned));
    this.#checkSize(planned, missing);
    if (missing.length > 0) await this.#cache.publish(commit, await this.#fetchBlobs(commit, missing));
    await this.#cache.keepListing(listing);
  }

  /** modules.json comes first: its content says which others are needed. */
  async #fetchModules({ commit, files }: Listing): Promise<WithModules> {
    const file = files.find(({ path }) => path === modulesFile);
    const known = file && await this.#cache.read(commit, file);
    if (file === undefined || known !== undefined) return { modules: known, files };
    // Without progress, which would reach its end twice.
    const [fetched] = await this.#fetchBlobs(commit, await this.#described(commit, [file]), () => {});
    const others = files.filter((each) => each !== file);
    return { modules: await this.#cache.read(commit, fetched!), files: [fetched!, ...others] };
  }

  async #described(commit: string, files: readonly ListedFile[]): Promise<readonly HubFile[]> {
    const { settings, signal } = this.#options;
    const repo = { id: this.#name.id, revision: commit };
    return atOnce(files, signal, ({ path, bytes, etag }, _, stop) => (
      etag === undefined ? describeFile(settings, repo, path, stop) : { path, bytes, etag }));
  }

  async #fetchBlobs(
    commit: string, files: readonly HubFile[], onProgress = this.#options.onProgress,
  ): Promise<readonly HubFile[]> {
    const { settings, signal } = this.#options;
    const repo = { id: this.#name.id, revision: commit };
    await this.#checkRoom(files);
    const totalBytes = sum(files.map(({ bytes = 0 }) => bytes));
    const done = files.map(() => 0);
    await atOnce(files, signal, async (file, i, stop) => {
      const onBytes = (bytes: number): void => {
        done[i] = bytes;
        onProgress?.(sum(done), totalBytes);
      };
      await downloadBlob({ settings, cache: this.#cache, repo, file, signal: stop, onBytes });
      onBytes(file.bytes ?? done[i]!);
    });
    return files;
  }

  #checkSize(planned: readonly ListedFile[], described: readonly HubFile[]): void {
    const sizes = new Map([...planned, ...described].map(({ path, bytes }) => [path, bytes ?? 0]));
    const bytes = sum([...sizes.values()]);
    const { modelBytesMax } = this.#options.settings;
    if (bytes <= modelBytesMax) return;
    throw new HubError('refused', `${this.#name.id} has ${sizeText(bytes)}, more than the ` +
      `${sizeText(modelBytesMax)} that MAX_MODEL_SIZE allows.`);
  }

  /** A disk that is too small should say so before the first gigabyte, not after the last. */
  async #checkRoom(files: readonly HubFile[]): Promise<void> {
    const folder = await this.#cache.prepare();
    const lacking = sum(await Promise.all(files.map((file) => lackingBytes(this.#cache, file))));
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize >= lacking) return;
    throw new HubError('unavailable', `${this.#name.id} needs ${sizeText(lacking)}, but the disk of the model cache ` +
      `${this.#options.settings.cacheDirectory} has ${sizeText(bavail * bsize)} left.`);
  }

  #pulled(commit: string): Pulled {
    return { directory: this.#cache.snapshot(commit), commit };
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** Runs `step` over all, a few at a time; the first failure stops the others, and all have ended when it is thrown. */
async function atOnce<In, Out>(
  items: readonly In[],
  signal: AbortSignal | undefined,
  step: (item: In, index: number, stop: AbortSignal) => Out | Promise<Out>,
): Promise<readonly Out[]> {
  const results: Out[] = [];
  const failing = new AbortController();
  const stop = signal === undefined ? failing.signal : AbortSignal.any([signal, failing.signal]);
  let next = 0;
  const walk = async (): Promise<void> => {
    while (next < items.length && !stop.aborted) {
      const i = next++;
      try {
        results[i] = await step(items[i]!, i, stop);
      } catch (error) {
        failing.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: hubDownloadsAtOnce }, walk));
  stop.throwIfAborted();
  return results;
}
