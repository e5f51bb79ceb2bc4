// Written by bench/verdict-fit.ts.
import type { Weights } from './verifier.ts';

export const weights: Weights = {
  intercept: -2.77,
  coefficients: [
    0.7851, // similarity
    2.3825, // high similarity
    -1.6085, // low similarity
    1.6922, // words in common
    -2.0642, // rarest word that differs
    -2.4914, // rarest word in one question only
    -2.464, // substitution far in meaning
    -1.3697, // substitutions
    3.9892, // mistakes
    2.3393, // synonyms
    6.0053, // words matched
    3.6539, // similar in other words
  ],
};
