// Every bound that is not an option, in one place, and the relations that must hold among them.
import assert from 'node:assert/strict';

/** OpenAI's own bound on a list of inputs (openai-openapi, CreateEmbeddingRequest). */
export const openaiInputsMax = 2048;
/** OpenAI's bound on a list of token ids; ours is higher so that any model's length fits. */
export const inputTokenIdsMax = 65_536;
/** Padded tokens in one session run; where warm-up stops looking for a larger one. */
export const runTokensMax = 16_384;
/** The smallest run that warm-up tries. */
export const runTokensMin = 64;
/** How long a measurement waits for an idle moment before it takes one. */
export const aloneWaitMsMax = 2000;
/** Waiting inputs that the batching policy looks at: more gives no better lengths, only a longer sort. */
export const selectionWindowInputs = 512;
/** Bounds of what a full queue tells a client to wait. */
export const retryAfterMsMin = 1000;
export const retryAfterMsMax = 60_000;
/** How long a failed load is answered from memory before it is tried again. */
export const loadRetryMs = 5000;
/** Bodies of all requests together; above it new bodies are refused, so a burst cannot exhaust memory. */
export const bodyBytesInFlightMax = 512 * 1024 * 1024;
/** Of a refused body, how much beyond the maximum is read and thrown away so that the client sees the answer. */
export const discardBytesMax = 64 * 1024 * 1024;
/** Request ids longer than this are replaced, not cut: half an id is a wrong id. */
export const requestIdCharsMax = 64;
/** How much of a client's string an error or a log line repeats. */
export const echoCharsMax = 80;
/** Truncated inputs named in the answer's header; all are counted, and JSON answers name all. */
export const truncatedHeaderItemsMax = 64;
/** Time buckets kept by the rate limiter in memory: one per client address. */
export const rateLimitClientsMax = 100_000;

assert(runTokensMin <= runTokensMax);
assert(requestIdCharsMax > 36, 'a UUID must fit');
