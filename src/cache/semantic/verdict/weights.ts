// Written by bench/verdict-fit.ts.
import type { Weights } from './verifier.ts';

export const weights: Weights = {
  intercept: -2.8032,
  coefficients: [
    0.7953, // similarity
    2.3858, // high similarity
    -1.5881, // low similarity
    1.7178, // words in common
    -1.9309, // rarest word that differs
    -2.5025, // rarest word in one question only
    -2.5937, // substitution far in meaning
    -1.4111, // substitutions
    3.9391, // mistakes
    2.5773, // synonyms
    6.0155, // words matched
    3.5913, // similar in other words
  ],
};
