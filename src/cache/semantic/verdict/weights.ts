// Written by bench/verdict-fit.ts.
import type { Weights } from './verifier.ts';

export const weights: Weights = {
  intercept: -2.7702,
  coefficients: [
    0.7872, // similarity
    2.3799, // high similarity
    -1.6085, // low similarity
    1.6919, // words in common
    -2.0573, // rarest word that differs
    -2.4935, // rarest word in one question only
    -2.5089, // substitution far in meaning
    -1.3513, // substitutions
    3.9807, // mistakes
    2.3345, // synonyms
    6.0081, // words matched
    3.6477, // similar in other words
  ],
};
