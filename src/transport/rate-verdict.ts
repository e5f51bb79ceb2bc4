// What a rate limiter said of a request, and how a client is told.
import type { HttpResponse } from 'uWebSockets.js';
import { resetDuration } from './headers.ts';

export type RateVerdict = {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
};

/** Those of `writeRateHeaders`. */
export const rateHeaders: ReadonlySet<string> = new Set([
  'x-ratelimit-limit-requests', 'x-ratelimit-remaining-requests', 'x-ratelimit-reset-requests',
]);

/** https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers */
export function writeRateHeaders(response: HttpResponse, verdict: RateVerdict): void {
  response.writeHeader('x-ratelimit-limit-requests', String(verdict.limit));
  response.writeHeader('x-ratelimit-remaining-requests', String(verdict.remaining));
  response.writeHeader('x-ratelimit-reset-requests', resetDuration(verdict.resetMs));
}
