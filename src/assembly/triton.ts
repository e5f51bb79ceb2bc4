// The models of a Triton server among those of this one: loaded when Triton has them, looked at for changes, and told
// of in the log and the metrics. Imported only where TRITON_URL is set, since gRPC takes its time to load.
import { TritonBackend } from '../backend/triton/backend.ts';
import { tritonAddress, TritonClient } from '../backend/triton/client.ts';
import { callFailure, unavailable } from '../backend/triton/failures.ts';
import { readTritonModel, type TritonModel } from '../backend/triton/model.ts';
import { TritonWatch } from '../backend/triton/watch.ts';
import type { ModelTraits } from '../backend/manifest.ts';
import type { BatchObserver } from '../batch/batcher.ts';
import type { Config } from '../config.ts';
import { inputTokenIdsMax, tritonRefreshMs } from '../limits.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { EmbeddingModel } from '../registry/embedding-model.ts';
import type { KnownModel, Registry } from '../registry/registry.ts';

export class TritonModels {
  readonly names: readonly string[];
  readonly #client: TritonClient;
  readonly #watch: TritonWatch;
  readonly #log: Log;
  readonly #known: ReadonlyMap<string, KnownModel>;
  /** As last read. */
  readonly #models = new Map<string, TritonModel>();
  readonly #refreshing = new Map<string, Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  /** Adds the models to the registry; each is loaded as soon as Triton has it. */
  constructor(url: string, config: Config, registry: Registry, metrics: Metrics, log: Log) {
    this.names = config.tritonModels;
    this.#log = log;
    this.#client = new TritonClient(tritonAddress(url), config.tritonConnections);
    this.#known = new Map(this.names.map((name) => [name, this.#add(name, config, registry, metrics)]));
    this.#watch = new TritonWatch(this.#client, this.names, {
      changed: (name, state, cause) => {
        if (state === 'up') void this.refresh(name);
        else log.warn({ model: name, err: cause }, 'Triton does not have the model ready');
      },
    });
    const refreshLoaded = () => {
      // One that was unloaded on purpose stays so until somebody asks for it.
      for (const [name, { slot }] of this.#known) if (slot.state !== 'absent') void this.refresh(name);
    };
    this.#timer = setInterval(refreshLoaded, tritonRefreshMs);
    this.#timer.unref();
  }

  /** Undefined until Triton has told of it once. */
  model(name: string): TritonModel | undefined {
    return this.#models.get(name);
  }

  isUp(name: string): boolean {
    return this.#watch.state(name) === 'up';
  }

  /** How long Triton took to say so. */
  checkMs(name: string): number {
    return this.#watch.checkMs(name);
  }

  /** Loads it where it is not, and anew where Triton has another one by now. Never rejects. */
  refresh(name: string): Promise<void> {
    const refreshing = this.#refreshing.get(name) ?? this.#refresh(name).finally(() => this.#refreshing.delete(name));
    this.#refreshing.set(name, refreshing);
    return refreshing;
  }

  /** Gives up what runs: for the end of the server, after its registry has closed. */
  close(): void {
    clearInterval(this.#timer);
    this.#watch.close();
    this.#client.close();
  }

  async #refresh(name: string): Promise<void> {
    const { slot } = this.#known.get(name)!;
    if (!this.isUp(name)) return;
    try {
      if (slot.state === 'ready') {
        const model = await readTritonModel(this.#client, name);
        const old = this.#models.get(name);
        if (model.identity === old?.identity && model.batchInputsMax === old.batchInputsMax) return;
        this.#log.info({ model: name, version: model.version }, 'Triton has another version or configuration of the model');
      }
      await slot.reload();
    } catch (error) {
      // Whoever asks for the model is told; a change that could not be read is looked for again.
      this.#log.warn({ model: name, err: error }, 'the model could not be read from Triton');
    }
  }

  #add(name: string, config: Config, registry: Registry, metrics: Metrics): KnownModel {
    const modelMetrics = metrics.model(name);
    const called = metrics.tritonCalls(name);
    const onCall = (status: string) => {
      called(status);
      // The version that was asked for may have gone.
      if (status === 'NOT_FOUND' || status === 'UNAVAILABLE') void this.refresh(name);
    };
    const open = async (observer: BatchObserver) => {
      if (this.#watch.state(name) === 'down') throw unavailable();
      const startedMs = performance.now();
      const model = await readTritonModel(this.#client, name);
      this.#models.set(name, model);
      const loadMs = performance.now() - startedMs;
      const backend = new TritonBackend(this.#client, this.#watch, model, loadMs, onCall);
      const { version, dimension, batchInputsMax, outputType } = model;
      this.#log.info({ model: name, version, dimension, batch_inputs_max: batchInputsMax, output: outputType }, 'model of Triton ready');
      return new EmbeddingModel(traitsOf(model), backend, config.queueTokensMax, observer, model.identity);
    };
    return registry.add({
      name, aliases: [], pinned: true, remote: { isAvailable: () => this.isUp(name) }, metrics: modelMetrics,
      open: (observer) => open(observer).catch((error: unknown) => {
        throw callFailure(error);
      }),
    });
  }
}

/** Triton tells of tensors only: how a model pools and what it was trained for is its own affair. */
function traitsOf({ name, outputType }: TritonModel): ModelTraits {
  return {
    name,
    inputTokensMax: inputTokenIdsMax,
    modules: [],
    matryoshkaDimensions: [],
    prompts: {},
    defaultPromptName: undefined,
    precision: outputType === 'FP16' ? 'fp16' : 'fp32',
    protein: false,
  };
}
