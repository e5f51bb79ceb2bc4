// The tensor models of a folder: loaded at their first use, kept until they are unloaded or others need the room.
// Invariant: a version has one slot for the life of the server, so it is never loaded twice at once.
import { ServerError } from '../errors.ts';
import { echoCharsMax, stuckRetryMs } from '../limits.ts';
import { ManifestError } from './json-file.ts';
import type { ModelCache } from './model-cache.ts';
import { Slot, type Loaded, type SlotState } from './slot.ts';
import { compareVersions, scanTensorFolder, type TensorFiles } from './tensor-folder.ts';
import type { TensorModel } from './tensor-model.ts';
import type { TensorSeries } from '../metrics/model-series.ts';
import { TensorStats } from './tensor-stats.ts';

/** A loaded model and where its deeds are counted. */
export type LeasedModel = TensorModel & Loaded & { readonly stats: TensorStats };

/** @param onStuck told when a worker does not come back */
export type OpenTensorModel = (
  files: TensorFiles,
  onCrash: (error: Error) => void,
  onStuck: () => void,
) => Promise<TensorModel>;

/** What the log and the metrics hear of. */
export type TensorObserver = {
  loaded(model: TensorModel, loadMs: number): void;
  failed(files: TensorFiles, error: unknown): void;
  unloaded(files: TensorFiles): void;
  crashed(files: TensorFiles, error: Error): void;
  /** Where the version's inferences are counted besides. */
  series?(files: TensorFiles): TensorSeries;
};

export type TensorModelsOptions = {
  /** MODEL_DIR. It may be missing, then there are no models. */
  readonly directory: string;
  /** Looked into after it; of two models of one name and version the first counts. */
  readonly otherDirectories?: readonly string[];
  readonly open: OpenTensorModel;
  readonly observer: TensorObserver;
  readonly cache: Pick<ModelCache, 'add' | 'makeRoom'>;
  /** Whether it stays once it is loaded, whatever comes; without this none does. */
  readonly isPinned?: (files: TensorFiles) => boolean;
  /** A name that is not known or not loaded makes the folder be read again, no more often than this. */
  readonly scanEveryMs?: number;
};

/** One version on disk or in memory. Looking at it never loads it. */
export class TensorEntry {
  /** As last seen on disk; a loaded model has those it was loaded from. */
  files: TensorFiles;
  isOnDisk = true;
  readonly stats: TensorStats;
  readonly slot: Slot<LeasedModel>;
  loads = 0;
  /** Of the last load. */
  loadMs = 0;
  loadedAtMs = 0;

  constructor(files: TensorFiles, options: TensorModelsOptions, refuseClosed: () => void) {
    this.files = files;
    this.stats = new TensorStats(options.observer.series?.(files));
    const open = async (): Promise<LeasedModel> => {
      refuseClosed();
      options.cache.makeRoom();
      return this.#open(options);
    };
    this.slot = new Slot(open, () => options.cache.makeRoom());
  }

  get state(): SlotState {
    return this.slot.state;
  }

  /** Undefined unless it is ready. */
  get model(): LeasedModel | undefined {
    return this.slot.model;
  }

  async #open({ open, observer }: TensorModelsOptions): Promise<LeasedModel> {
    const { files, stats } = this;
    const startedMs = performance.now();
    let model: TensorModel;
    try {
      model = await open(
        files,
        (error) => observer.crashed(files, error),
        () => this.slot.lose(new ServerError('MODEL_STUCK', undefined, { retryAfterMs: stuckRetryMs })),
      );
    } catch (error) {
      observer.failed(files, error);
      throw loadError(error);
    }
    this.loads += 1;
    this.loadMs = performance.now() - startedMs;
    this.loadedAtMs = Date.now();
    observer.loaded(model, this.loadMs);
    const close = async (): Promise<void> => {
      await model.backend.close();
      observer.unloaded(files);
    };
    return { ...model, stats, close };
  }
}

export class TensorModels {
  /** By name, then version; Maps, since clients ask by any string. */
  readonly #entries = new Map<string, Map<string, TensorEntry>>();
  readonly #options: TensorModelsOptions;
  #scannedMs = -Infinity;
  #isClosed = false;

  constructor(options: TensorModelsOptions) {
    this.#options = options;
    this.#scan();
  }

  /** All versions in the folder, and those still in memory, by name and version. */
  list(): readonly TensorEntry[] {
    this.#scan();
    return this.#known().sort(
      (a, b) => compareVersions(a.files.name, b.files.name) || compareVersions(a.files.version, b.files.version),
    );
  }

  /** Those that it knows of, without a look at the folder. */
  get known(): readonly TensorEntry[] {
    return this.#known();
  }

  /**
   * A version, a name (its highest version), `name:version` or `name/version`. Throws MODEL_NOT_FOUND, or
   * REQUEST_INVALID for a version that several models have.
   */
  find(wanted: string, field: string): TensorEntry {
    const known = this.#matching(wanted);
    const found = known.length > 0 && known.every(isLoaded) ? known : this.#scanned(() => this.#matching(wanted));
    const shown = JSON.stringify(wanted.slice(0, echoCharsMax));
    if (found.length === 0) throw new ServerError('MODEL_NOT_FOUND', `The model ${shown} does not exist.`, { field });
    if (found.length > 1) {
      const choices = found.map(({ files }) => `${files.name}:${files.version}`).join(', ');
      throw new ServerError('REQUEST_INVALID', `Several models have the version ${shown}: ${choices}.`, { field });
    }
    return found[0]!;
  }

  /** A version that has just come into the folder. One of that name in memory is of files that were removed: it leaves. */
  added(name: string, version: string): TensorEntry | undefined {
    this.#scan();
    const entry = this.#entries.get(name)?.get(version);
    entry?.slot.unload().catch(() => {});
    return entry;
  }

  /**
   * The versions of exactly that name, lowest first; none when there is no such model.
   * @param wanted the one that is asked for; the highest when absent
   */
  versionsOf(name: string, wanted?: string): readonly TensorEntry[] {
    const versions = (): TensorEntry[] => {
      const known = this.#known().filter(({ files }) => files.name === name);
      return known.sort((a, b) => compareVersions(a.files.version, b.files.version));
    };
    const found = versions();
    const asked = wanted === undefined ? found.at(-1) : found.find(({ files }) => files.version === wanted);
    return asked !== undefined && isLoaded(asked) ? found : this.#scanned(versions);
  }

  /** The next look sees what the folder now holds. */
  refresh(): void {
    this.#scan();
  }

  /** Runs `work` on the model, loading it first; it is not closed before `work` ends. */
  async use<Result>(entry: TensorEntry, work: (model: LeasedModel) => Promise<Result>): Promise<Result> {
    this.#refuseClosed();
    const lease = await entry.slot.lease();
    try {
      return await work(lease.model);
    } finally {
      lease.release();
    }
  }

  /** Runs `work` on all of them at once. */
  useAll<Result>(
    entries: readonly TensorEntry[],
    work: (models: readonly LeasedModel[]) => Promise<Result>,
  ): Promise<Result> {
    const [first, ...others] = entries;
    if (first === undefined) return work([]);
    return this.use(first, (model) => this.useAll(others, (models) => work([model, ...models])));
  }

  /** Loads it unless it is loaded; after a failure it is tried again at once, from what the folder then holds. */
  async load(wanted: string, field: string): Promise<TensorEntry> {
    this.#refuseClosed();
    this.#scan();
    const entry = this.find(wanted, field);
    if (entry.state === 'failed') await entry.slot.reload();
    else await this.use(entry, () => Promise.resolve());
    return entry;
  }

  /** Loads it anew, from what the folder now holds; rejects and changes nothing when that fails. */
  async reload(wanted: string, field: string): Promise<TensorEntry> {
    this.#refuseClosed();
    this.#scan();
    const entry = this.find(wanted, field);
    await entry.slot.reload();
    return entry;
  }

  /** @returns the entry, and whether there was something to unload */
  async unload(wanted: string, field: string): Promise<{ readonly entry: TensorEntry; readonly unloaded: boolean }> {
    const entry = this.find(wanted, field);
    const unloaded = entry.state === 'ready' || entry.state === 'loading' || entry.state === 'draining';
    await entry.slot.unload();
    return { entry, unloaded };
  }

  /** Takes no more work, waits for what runs, then ends all threads. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#all().map(({ slot }) => slot.unload()));
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new ServerError('MODEL_NOT_READY', 'The server is shutting down.');
  }

  #all(): TensorEntry[] {
    return [...this.#entries.values()].flatMap((versions) => [...versions.values()]);
  }

  /** Without those whose files are gone, unless they still are in memory. */
  #known(): TensorEntry[] {
    return this.#all().filter(({ isOnDisk, state }) => isOnDisk || (state !== 'absent' && state !== 'failed'));
  }

  #matching(wanted: string): TensorEntry[] {
    const known = this.#known();
    const byVersion = known.filter(({ files }) => files.version === wanted);
    if (byVersion.length > 0) return byVersion;
    const byName = known.filter(({ files }) => files.name === wanted);
    if (byName.length > 0) return byName.sort((a, b) => compareVersions(a.files.version, b.files.version)).slice(-1);
    return known.filter(
      ({ files: { name, version } }) => wanted === `${name}:${version}` || wanted === `${name}/${version}`,
    );
  }

  /** A look at what the folder now holds: what is not known may have come, what would be loaded may have gone. */
  #scanned<Found>(look: () => Found): Found {
    if (performance.now() - this.#scannedMs >= (this.#options.scanEveryMs ?? 1000)) this.#scan();
    return look();
  }

  /** Reads the folder: new versions appear, changed ones count at their next load. */
  #scan(): void {
    this.#scannedMs = performance.now();
    const { directory, otherDirectories = [] } = this.#options;
    const found = [directory, ...otherDirectories].map(scanTensorFolder);
    for (const entry of this.#all()) entry.isOnDisk = false;
    // The first folder last, so that its models stand where another has the same.
    for (const files of found.reverse().flat()) {
      const versions = this.#entries.get(files.name) ?? new Map<string, TensorEntry>();
      this.#entries.set(files.name, versions);
      const known = versions.get(files.version);
      if (known === undefined) versions.set(files.version, this.#add(files));
      else Object.assign(known, { files, isOnDisk: true });
    }
  }

  #add(files: TensorFiles): TensorEntry {
    const entry = new TensorEntry(files, this.#options, () => this.#refuseClosed());
    const { cache, isPinned } = this.#options;
    cache.add(`${files.name}:${files.version}`, entry.slot, isPinned?.(files) ?? false);
    return entry;
  }
}

function isLoaded({ model }: TensorEntry): boolean {
  return model !== undefined;
}

/** A manifest's fault names files by model and version only, so a client may read it. */
function loadError(error: unknown): ServerError {
  if (error instanceof ServerError) return error;
  const detail =
    error instanceof ManifestError
      ? `The model could not be loaded: ${error.message}`
      : 'The model could not be loaded.';
  return new ServerError('MODEL_NOT_READY', detail, { cause: error });
}
