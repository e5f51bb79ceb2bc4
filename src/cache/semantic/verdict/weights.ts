// Written by bench/verdict-fit.ts.
import type { Weights } from './verifier.ts';

export const weights: Weights = {
  intercept: -3.0226,
  coefficients: [
    1.4567, // similarity
    2.7441, // high similarity
    -1.3682, // low similarity
    1.8529, // words in common
    -2.0099, // rarest word that differs
    0, // far in meaning
    -1.5847, // substitution far in meaning
    -1.4929, // substitutions
    3.5684, // mistakes
    1.6254, // synonyms
    4.4275, // words matched
    3.614, // similar in other words
  ],
};
