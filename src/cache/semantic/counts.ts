// What the cache counts: for its own statistics and, at the same time, for the metrics.

export type Outcome = 'exact' | 'semantic' | 'miss' | 'near' | 'refused';

export type SemanticMetrics = {
  /** `near`: a miss whose neighbour was short of the threshold by little; `refused`: above it, and refused. */
  looked(outcome: Outcome): void;
  searched(ms: number): void;
  falseHit(): void;
  left(reason: 'evicted' | 'expired' | 'deleted', entries: number): void;
  storeFailed(): void;
};

export class Counts {
  readonly #metrics: SemanticMetrics;
  hitsExact = 0;
  hitsSemantic = 0;
  misses = 0;
  refused = 0;
  falseHitsReported = 0;

  constructor(metrics: SemanticMetrics) {
    this.#metrics = metrics;
  }

  looked(outcome: Outcome): void {
    this.#metrics.looked(outcome);
    if (outcome === 'exact') this.hitsExact += 1;
    else if (outcome === 'semantic') this.hitsSemantic += 1;
    else this.misses += 1;
    if (outcome === 'refused') this.refused += 1;
  }

  falseHit(): void {
    this.#metrics.falseHit();
    this.falseHitsReported += 1;
  }

  get shown() {
    const { hitsExact, hitsSemantic, misses, refused, falseHitsReported } = this;
    return { hitsExact, hitsSemantic, misses, refused, falseHitsReported };
  }
}
