// What a rate limiter said of a request, and how a client is told.
import type { HttpResponse } from 'uWebSockets.js';
import { resetDuration } from './headers.ts';

export type RateVerdict = {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  readonly resetMs: number;
};

/** https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers */
const names = {
  limit: 'x-ratelimit-limit-requests', remaining: 'x-ratelimit-remaining-requests', reset: 'x-ratelimit-reset-requests',
} as const;

export const rateHeaders: ReadonlySet<string> = new Set(Object.values(names));

export function writeRateHeaders(response: HttpResponse, verdict: RateVerdict): void {
  response.writeHeader(names.limit, String(verdict.limit));
  response.writeHeader(names.remaining, String(verdict.remaining));
  response.writeHeader(names.reset, resetDuration(verdict.resetMs));
}
