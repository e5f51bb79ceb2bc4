// Every option of the server, once: what it may be, how it is named outside, and what it means.
// The environment reader, the flags, the help text, the README table and the type Config all come from here.
import Type, { type Static } from 'typebox';
import type { OptionRow } from './option.ts';
import { accessOptions } from './options/access.ts';
import { computationOptions } from './options/computation.ts';
import { embeddingCacheOptions } from './options/embedding-cache.ts';
import { hubOptions } from './options/hub.ts';
import { modelOptions } from './options/model.ts';
import { observationOptions } from './options/observation.ts';
import { requestLimitsOptions } from './options/request-limits.ts';
import { semanticCacheOptions } from './options/semantic-cache.ts';
import { serverOptions } from './options/server.ts';
import { storageOptions } from './options/storage.ts';
import { tritonOptions } from './options/triton.ts';
import { upstreamOptions } from './options/upstream.ts';

export const configSchema = Type.Object({
  ...serverOptions,
  ...modelOptions,
  ...hubOptions,
  ...tritonOptions,
  ...computationOptions,
  ...requestLimitsOptions,
  ...accessOptions,
  ...observationOptions,
  ...embeddingCacheOptions,
  ...semanticCacheOptions,
  ...storageOptions,
  ...upstreamOptions,
});

type Values = Static<typeof configSchema>;

/** All options, checked and frozen. Durations are in milliseconds, sizes in bytes. `device` is never `mps`. */
export type Config = {
  readonly [Name in keyof Values]: Values[Name] extends (infer Item)[] ? readonly Item[] : Values[Name];
};

export type OptionName = keyof Config;

/** The part of JSON Schema that options use. */
export type OptionSchema = {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly { readonly const?: string; readonly minimum?: number; readonly maximum?: number }[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly option: OptionRow;
};

/** Every option in the order of the schema. */
export const options = Object.entries(configSchema.properties) as unknown as OptionEntries;

type OptionEntries = readonly (readonly [OptionName, OptionSchema])[];
