// A threshold for each entry that is learned from what its hits turned out to be, so that the share of wrong answers
// stays below a bound whatever the entry is about. After vCache (arXiv 2502.03771), from the paper: an entry answers
// only as often as the least favourable curve that its observations allow permits; else it is asked again.
// Pure and serialisable. Knows nothing of texts: `similarity` may be a cosine or the verdict's score.

export type Observation = {
  /** Between 0 and 1. */
  readonly similarity: number;
  /** Whether the entry's answer was right for the question of that similarity. */
  readonly correct: boolean;
};

/** What an entry has seen, oldest first; kept with the entry as it is. */
export type ThresholdState = { readonly observations: readonly Observation[] };

export const emptyThreshold: ThresholdState = { observations: [] };

/** `exploit`: answer from the entry. `explore`: ask upstream, compare, and `observe` which it was. */
export type Decision = 'exploit' | 'explore';

/** More tell little that these do not, and every decision reads them all. */
export const observationsMax = 64;

/** P(correct | similarity) is taken to be a logistic curve: where it crosses one half, and how steeply. */
type Curve = { readonly middle: number; readonly slope: number };
const curves: readonly Curve[] = curveGrid();
/** Kept beside the state as long as that lives: it never changes. */
const knownLikelihoods = new WeakMap<ThresholdState, Float64Array>();
/** Tried as the chance that the true curve is none of those allowed; the most permissive bound of all holds. */
const doubts: readonly number[] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

/** A surer entry may answer now and then; one less sure always asks. */
const sureMin = 0.5;

/** The state with one observation more; at `observationsMax` the oldest goes. Throws a RangeError for a similarity outside 0 to 1. */
export function observe(state: ThresholdState, similarity: number, correct: boolean): ThresholdState {
  if (!(similarity >= 0 && similarity <= 1)) throw new RangeError('A similarity lies between 0 and 1.');
  const observation = { similarity, correct };
  const next = { observations: [...state.observations, observation].slice(-observationsMax) };
  const known = knownLikelihoods.get(state);
  if (known !== undefined && state.observations.length < observationsMax) {
    const likelihoods = known.slice();
    addObservation(likelihoods, observation);
    knownLikelihoods.set(next, likelihoods);
  }
  return next;
}

/**
 * How often to ask upstream at this similarity so that at most `errorMax` of all answers are wrong. 1 for an entry
 * that has seen nothing.
 */
export function exploreProbability(state: ThresholdState, similarity: number, errorMax: number): number {
  if (state.observations.length === 0 || !(similarity >= 0 && similarity <= 1)) return 1;
  const likelihoods = likelihoodsOf(state);
  const best = likelihoods.reduce((most, value) => Math.max(most, value), -Infinity);
  const correct = curves.map((curve) => probabilityCorrect(curve, similarity));
  let least = 1;
  for (const doubt of doubts) {
    // Wilks: twice the loss of log-likelihood is chi-squared, with two degrees of freedom -2 ln(doubt).
    const lowest = best + Math.log(doubt);
    let worst = 1;
    for (let i = 0; i < correct.length; i++) if (likelihoods[i]! >= lowest && correct[i]! < worst) worst = correct[i]!;
    const sure = (1 - doubt) * worst;
    // The paper would toss a coin here too; an answer that is wrong rather than right is worth none.
    if (sure < sureMin) continue;
    least = Math.min(least, sure >= 1 - errorMax ? 0 : (1 - errorMax - sure) / (1 - sure));
  }
  return least;
}

/** `uniform` is a random number of 0 to 1 (1 excluded), drawn for this decision alone. */
export function decide(state: ThresholdState, similarity: number, errorMax: number, uniform: number): Decision {
  return uniform < exploreProbability(state, similarity, errorMax) ? 'explore' : 'exploit';
}

/** What a cache calls; its states are plain JSON. */
export type ThresholdLearning = {
  readonly start: () => ThresholdState;
  readonly observe: (state: unknown, similarity: number, correct: boolean) => ThresholdState;
  readonly decide: (state: unknown, similarity: number) => Decision;
};

/**
 * Learning from feedback beside a verdict that is right nearly always: where it was never wrong its word stands, and
 * from the first wrong answer on the bound holds. `random` gives numbers of 0 to 1.
 */
export function learningOf(errorMax: number, random: () => number = Math.random): ThresholdLearning {
  return {
    start: () => emptyThreshold,
    observe: (state, similarity, correct) => observe(stateOf(state), Math.min(1, Math.max(0, similarity)), correct),
    decide: (state, similarity) => {
      const seen = stateOf(state);
      const wasWrong = seen.observations.some(({ correct }) => !correct);
      return wasWrong ? decide(seen, similarity, errorMax, random()) : 'exploit';
    },
  };
}

/** What a store gave back; anything else teaches nothing. */
function stateOf(stored: unknown): ThresholdState {
  const observations = (stored as Partial<ThresholdState> | null | undefined)?.observations;
  const whole = Array.isArray(observations) && observations.length <= observationsMax && observations.every(isObservation);
  return whole ? (stored as ThresholdState) : emptyThreshold;
}

function isObservation(stored: unknown): stored is Observation {
  const { similarity, correct } = (stored ?? {}) as Partial<Observation>;
  return typeof similarity === 'number' && similarity >= 0 && similarity <= 1 && typeof correct === 'boolean';
}

function curveGrid(): Curve[] {
  const middles = Array.from({ length: 43 }, (_, i) => -0.025 + i * 0.025);
  return [4, 8, 16, 32, 64, 128].flatMap((slope) => middles.map((middle) => ({ middle, slope })));
}

function probabilityCorrect({ middle, slope }: Curve, similarity: number): number {
  return 1 / (1 + Math.exp(-slope * (similarity - middle)));
}

/** Log-likelihood of the observations under each curve. */
function likelihoodsOf(state: ThresholdState): Float64Array {
  let likelihoods = knownLikelihoods.get(state);
  if (likelihoods === undefined) {
    likelihoods = new Float64Array(curves.length);
    for (const observation of state.observations) addObservation(likelihoods, observation);
    knownLikelihoods.set(state, likelihoods);
  }
  return likelihoods;
}

function addObservation(likelihoods: Float64Array, { similarity, correct }: Observation): void {
  for (let i = 0; i < curves.length; i++) {
    const { middle, slope } = curves[i]!;
    const away = slope * (similarity - middle) * (correct ? -1 : 1);
    // ln(1 / (1 + e^away)) without overflow.
    likelihoods[i]! -= away > 0 ? away + Math.log1p(Math.exp(-away)) : Math.log1p(Math.exp(away));
  }
}
