// Models that come from outside: received into a staging folder, checked in a process of their own, then published.
// Invariant: what is listed has been whole, checked and on the disk before; what is refused leaves nothing behind.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { checkModel } from '../backend/model-check.ts';
import { ServerError } from '../errors.ts';
import { retryAfterMsMin, uploadsMax } from '../limits.ts';
import { ManifestError } from './json-file.ts';
import { Staging, type Received } from './staging.ts';
import { isModelName, type TensorFiles } from './tensor-folder.ts';
import { readTensorManifest, tensorTable } from './tensor-manifest.ts';
import type { TensorEntry } from './tensor-models.ts';
import { trialsOf } from './trials.ts';

export type UploadOptions = {
  /** MODEL_DIR; made when it is missing. */
  readonly directory: string;
  readonly bytesMax: number;
  readonly checkMemoryBytesMax: number;
  readonly checkMsMax: number;
  readonly models: {
    /** Those of other folders, too. */
    list(): readonly Pick<TensorEntry, 'files' | 'isOnDisk'>[];
    added(name: string, version: string): TensorEntry | undefined;
  };
  /** Whether an embedding model is known by that name: paths would no longer lead to it. */
  readonly isTaken: (name: string) => boolean;
  readonly observer: UploadObserver;
};

/** What the log and the metrics hear of. */
export type UploadObserver = {
  published(files: TensorFiles, received: Received): void;
  refused(error: ServerError): void;
};

export type Identity = {
  readonly version: string;
  /** Undefined for a version that stands alone: its name is its version. */
  readonly name: string | undefined;
};

/** What the uploader says of the file, known once the upload has been read. */
export type UploadFacts = Identity & {
  /** JSON text. */
  readonly manifest: string | undefined;
  /** In hex: what the file must be. */
  readonly sha256: string | undefined;
};

export type Uploaded = { readonly entry: TensorEntry; readonly received: Received };

/** Takes the model's file; once for each upload. */
export type ReceiveModel = (source: AsyncIterable<Uint8Array>) => Promise<void>;

const onnxName = 'model.onnx';
const manifestName = 'manifest.json';
/** Paths of the server, and what marks a folder as an embedding model's: a model so called could not be asked for. */
const reservedNames: readonly string[] = ['upload', 'compare', 'tokenizer.json'];
/** A listing takes what ends so for a file, and would not find the model in the folder. */
const fileEnding = '.onnx';

export class ModelUploads {
  readonly bytesMax: number;
  readonly #options: UploadOptions;
  #running = 0;
  /** Checks go one after another: the memory of one is all that uploads ever take. */
  #lastCheck: Promise<unknown> = Promise.resolve();

  constructor(options: UploadOptions) {
    this.bytesMax = options.bytesMax;
    this.#options = options;
  }

  /**
   * Throws REQUEST_INVALID for names that are none, MODEL_EXISTS for one that is taken, MODEL_INVALID with the reason,
   * QUEUE_FULL above `uploadsMax`, CANCELLED when `signal` aborts, and what `read` throws.
   * @param read reads the upload: hands the file to `receive` and tells the rest
   */
  async upload(read: (receive: ReceiveModel) => Promise<UploadFacts>, signal: AbortSignal): Promise<Uploaded> {
    if (this.#running >= uploadsMax) {
      throw new ServerError('QUEUE_FULL', `${uploadsMax} uploads are running.`, { retryAfterMs: retryAfterMsMin });
    }
    this.#running += 1;
    try {
      return await this.#upload(read, signal);
    } catch (thrown) {
      const error = uploadError(thrown);
      this.#options.observer.refused(error);
      throw error;
    } finally {
      this.#running -= 1;
    }
  }

  /** Throws REQUEST_INVALID and MODEL_EXISTS, before anything is read where the identity is known that early. */
  checkIdentity({ name, version }: Identity): void {
    checkName(version, 'version');
    if (name !== undefined) checkName(name, 'name');
    const { directory, models, isTaken } = this.#options;
    const key = keyOf(name ?? version, version);
    // Where cases are one on this disk or the next one it is copied to, two such models would be one.
    const taken = models.list().some(({ files, isOnDisk }) => isOnDisk && keyOf(files.name, files.version) === key);
    if (taken) throw new ServerError('MODEL_EXISTS', undefined, { field: 'version' });
    if (isTaken(version) || isTaken(name ?? version) || existsSync(path.join(directory, name ?? version, 'tokenizer.json'))) {
      throw new ServerError('MODEL_EXISTS', 'That name is one of an embedding model.', { field: 'name' });
    }
  }

  async #upload(read: (receive: ReceiveModel) => Promise<UploadFacts>, signal: AbortSignal): Promise<Uploaded> {
    const staging = await Staging.create(this.#options.directory);
    try {
      let received: Received | undefined;
      const facts = await read(async (source) => {
        if (received !== undefined) throw new ServerError('REQUEST_INVALID', 'One upload holds one model.', { field: 'file' });
        received = await staging.receive(onnxName, source, this.bytesMax);
      });
      signal.throwIfAborted();
      if (received === undefined) throw new ServerError('REQUEST_INVALID', "'file' is missing.", { field: 'file' });
      this.checkIdentity(facts);
      checkHash(facts.sha256, received.sha256);
      if (facts.manifest !== undefined) await staging.receive(manifestName, bytesOf(facts.manifest), Infinity);
      const entry = await this.#inTurn(() => this.#checkAndPublish(staging, facts, received!, signal));
      return { entry, received };
    } finally {
      await staging.remove();
    }
  }

  async #checkAndPublish(staging: Staging, facts: UploadFacts, received: Received, signal: AbortSignal): Promise<TensorEntry> {
    signal.throwIfAborted();
    const { version, name = version } = facts;
    const files: TensorFiles = {
      name,
      version,
      onnxFile: path.join(staging.directory, onnxName),
      manifestFile: facts.manifest === undefined ? undefined : path.join(staging.directory, manifestName),
      bytes: received.bytes,
      modifiedMs: Date.now(),
    };
    const manifest = readTensorManifest(files);
    const subject = {
      directory: staging.directory,
      onnxFile: onnxName,
      memoryBytesMax: this.#options.checkMemoryBytesMax,
      timeMsMax: this.#options.checkMsMax,
      signal,
    };
    await checkModel(subject, (description) => trialsOf(tensorTable(files, manifest, description)));
    signal.throwIfAborted();
    // Another upload may have taken the name meanwhile.
    this.checkIdentity(facts);
    await staging.publish(facts.name === undefined ? [version] : [facts.name, version]);
    this.#options.observer.published(files, received);
    const entry = this.#options.models.added(name, version);
    if (entry === undefined) throw new Error(`${name}:${version} was published and is not found.`);
    return entry;
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#lastCheck.then(work);
    this.#lastCheck = turn.catch(() => {});
    return turn;
  }
}

function checkName(text: string, field: 'name' | 'version'): void {
  const plain = text.toLowerCase();
  if (isModelName(text) && !reservedNames.includes(plain) && !plain.endsWith(fileEnding)) return;
  const detail = `'${field}' must be 1 to 128 letters, digits, dots, dashes and underscores, begin with a letter or digit, ` +
    `not end in ${fileEnding}, and be none of ${reservedNames.join(', ')}.`;
  throw new ServerError('REQUEST_INVALID', detail, { field });
}

function checkHash(wanted: string | undefined, found: string): void {
  if (wanted === undefined || wanted.toLowerCase() === found) return;
  throw new ServerError('REQUEST_INVALID', `The file's SHA-256 is ${found}, not what 'sha256' says.`, { field: 'sha256' });
}

/** With a slash, which no name has. */
function keyOf(name: string, version: string): string {
  return `${name}/${version}`.toLowerCase();
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function uploadError(thrown: unknown): ServerError {
  if (thrown instanceof ServerError) return thrown;
  const { name, code } = thrown as NodeJS.ErrnoException;
  if (name === 'AbortError') return new ServerError('CANCELLED');
  // A manifest's fault names files by model and version only.
  if (thrown instanceof ManifestError) return new ServerError('MODEL_INVALID', `The model is refused: ${thrown.message}`);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new ServerError('OVERLOADED', 'The disk has no room for the model.', { cause: thrown });
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
    return new ServerError('UPLOAD_DISABLED', 'The server may not write to its folder of models.', { cause: thrown });
  }
  return new ServerError('INTERNAL', undefined, { cause: thrown });
}
