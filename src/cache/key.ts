// What a cached vector is found by: a hash of everything that the vector depends on.
//
//   identity : digest : variant
//   identity   what computes: weights, tokenizer, modules, revision (22 characters)
//   digest     SHA-256 of the text or the token ids (43)
//   variant    prompt, truncation, dimensions, normalisation, kind of input, stored precision (11)
//
// So all vectors of a model share a beginning, and all of one text a part, whatever was asked of it.
import { hash } from 'node:crypto';
import type { EmbedInput, EmbedOptions } from '../backend/protocol.ts';

/** Changes when the same request would give another vector, or a stored value would be read in another way. */
const keyVersion = 1;
/** Of SHA-256 in base64url: 132 and 66 bits, beyond what chance or a deliberate search in one model's variants meets. */
const identityChars = 22;
const variantChars = 11;
/** Models and shared options objects are few; beyond this somebody makes them up, and working them out again is cheap. */
const knownMax = 4096;

/** Longer texts are hashed each time. */
const recentCharsMax = 512;

type RecentKey = { readonly identity: string; readonly options: EmbedOptions; readonly key: string };

/** How values are stored, as it matters to whoever reads them: lossy ones must never pass for exact ones. */
export type StoredPrecision = 'lossless' | 'fp16' | 'int8';

export class CacheKeys {
  readonly #precision: StoredPrecision;
  /** By options object and kind of input. */
  readonly #variants = new Map<EmbedOptions, { text: string; ids: string }>();
  readonly #prefixes = new Map<string, string>();
  /** Of texts that were asked for lately. */
  readonly #recent = new Map<string, RecentKey>();

  constructor(precision: StoredPrecision) {
    this.#precision = precision;
  }

  /** @param options a shared object: the same for all requests that want the same. */
  key(identity: string, options: EmbedOptions, input: EmbedInput): string {
    if (typeof input !== 'string' || input.length > recentCharsMax) return this.#newKey(identity, options, input);
    const recent = this.#recent.get(input);
    if (recent !== undefined && recent.identity === identity && recent.options === options) return recent.key;
    const key = this.#newKey(identity, options, input);
    if (this.#recent.size >= knownMax) this.#recent.clear();
    this.#recent.set(input, { identity, options, key });
    return key;
  }

  #newKey(identity: string, options: EmbedOptions, input: EmbedInput): string {
    const variants = this.#variants.get(options) ?? this.#newVariants(options);
    return `${this.#modelPrefix(identity)}${digest(input)}:${typeof input === 'string' ? variants.text : variants.ids}`;
  }

  /** The keys of all vectors of a model, of an input, or of one input of one model; without either, all. */
  pattern(identity: string | undefined, input: EmbedInput | undefined): KeyPattern {
    return {
      model: identity === undefined ? undefined : this.#modelPrefix(identity),
      input: input === undefined ? undefined : digest(input),
    };
  }

  #modelPrefix(identity: string): string {
    return this.#prefixes.get(identity) ?? this.#newPrefix(identity);
  }

  #newPrefix(identity: string): string {
    const prefix = `${hash('sha256', identity, 'base64url').slice(0, identityChars)}:`;
    if (this.#prefixes.size >= knownMax) this.#prefixes.clear();
    this.#prefixes.set(identity, prefix);
    return prefix;
  }

  #newVariants(options: EmbedOptions): { text: string; ids: string } {
    const { prompt, truncation, dimension, normalize } = options;
    const facts = [keyVersion, truncation, dimension, normalize ?? 'model', this.#precision];
    // A prompt goes before texts only.
    const variants = { text: shortHash(['text', prompt, ...facts]), ids: shortHash(['ids', ...facts]) };
    if (this.#variants.size >= knownMax) this.#variants.clear();
    this.#variants.set(options, variants);
    return variants;
  }
}

/** The parts of a key that are given; the others may be anything. */
export type KeyPattern = { readonly model: string | undefined; readonly input: string | undefined };

export function matchesKey({ model, input }: KeyPattern, key: string): boolean {
  if (model !== undefined && !key.startsWith(model)) return false;
  return input === undefined || key.startsWith(`${input}:`, identityChars + 1);
}

/** As Redis matches keys; none of our characters means anything there. */
export function globOf({ model, input }: KeyPattern): string {
  return `${model ?? '*:'}${input === undefined ? '*' : `${input}:*`}`;
}

function digest(input: EmbedInput): string {
  const bytes = typeof input === 'string' ? input : new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  return hash('sha256', bytes, 'base64url');
}

function shortHash(facts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(facts), 'base64url').slice(0, variantChars);
}
