// The models whose workers do not come back from a run. Native code that loops cannot be stopped inside a process, so
// whoever hears of one replaces the process.
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';

export class StuckModels {
  readonly names: string[] = [];
  /** Resolves with the first. */
  readonly any: Promise<void>;
  #resolve!: () => void;
  readonly #log: Log;
  readonly #series: { add(model: string): void };

  constructor(metrics: Metrics, log: Log) {
    this.#log = log;
    this.#series = metrics.stuck();
    this.any = new Promise((resolve) => (this.#resolve = resolve));
  }

  readonly add = (model: string): void => {
    this.names.push(model);
    this.#series.add(model);
    this.#log.error({ model }, 'the model does not come back from a run; the process is to be replaced');
    this.#resolve();
  };
}
