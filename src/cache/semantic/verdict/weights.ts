// Written by bench/verdict-fit.ts.
import type { Weights } from './verifier.ts';

export const weights: Weights = {
  intercept: -2.9776,
  coefficients: [
    2.4142, // similarity
    2.1, // high similarity
    -1.0161, // low similarity
    1.9161, // words in common
    -1.7727, // rarest word that differs
    -0.273, // far in meaning
    -1.4444, // substitution far in meaning
    -0.9433, // substitutions
    3.5577, // mistakes
    1.5524, // synonyms
    2.8653, // words matched
    3.6182, // similar in other words
  ],
};
