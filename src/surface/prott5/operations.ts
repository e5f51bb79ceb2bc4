// The ProtT5 embedding service (seed 000): protein sequences to vectors, by a model on a Triton server or one here.
import type { EmbedEngine } from '../../engine/embed.ts';
import { ServerError } from '../../errors.ts';
import type { AnyOperation, Call } from '../../operation.ts';
import type { Registry } from '../../registry/registry.ts';
import { bodyChecker, jsonOperation, type JsonOperation } from '../body.ts';
import { detailError } from '../detail-errors.ts';
import { bytesContentType, vectorFormat, type VectorFormat } from '../vectors.ts';
import { encodeComputed, type Computed } from './answers.ts';
import { ComputeEnvelope, ComputeRequest, ComputeResponse } from './schema.ts';
import { readSequences, type SequenceLimits, type Sequences } from './sequences.ts';
import { requireModel, statusOperations, type CacheSource, type TritonState } from './status.ts';

export const prott5Group = 'ProtT5';

export type Prott5Service = {
  readonly engine: EmbedEngine;
  readonly registry: Registry;
  /** The model that answers where a request names none; undefined while there is none. */
  readonly model: () => string | undefined;
  /** Where there is a Triton server. */
  readonly triton: TritonState | undefined;
  readonly cache: CacheSource;
  readonly limits: SequenceLimits;
};

type Input = {
  readonly model: string;
  readonly sequences: Sequences;
  readonly batchInputsMax: number | undefined;
  readonly useCache: boolean;
  readonly format: VectorFormat;
};

export function prott5Operations(service: Prott5Service): AnyOperation[] {
  return [compute(service), ...statusOperations(prott5Group, service)];
}

function compute(service: Prott5Service): JsonOperation<Input, Computed> {
  return jsonOperation({
    name: 'prott5.compute',
    method: 'POST',
    path: '/embeddings/compute',
    summary: 'Embed protein sequences.',
    group: prott5Group,
    scope: 'infer',
    requestSchema: ComputeRequest,
    responseSchema: ComputeResponse,
    binaryTypes: [bytesContentType],
    decodeBody: (body, call) => decode(body, call, service),
    run: (input, call) => run(input, call, service),
    encode: (computed, call, { sequences, format }) => encodeComputed(computed, sequences, format, call),
    encodeError: detailError,
  });
}

const checkEnvelope = bodyChecker(ComputeEnvelope);

function decode(json: unknown, call: Call, service: Prott5Service): Input {
  const body = checkEnvelope(json);
  const model = body.model ?? requireModel(service);
  if (body.per_residue === true) {
    throw new ServerError('REQUEST_INVALID', 'The model gives one vector a sequence and none a residue.', { field: 'per_residue' });
  }
  return {
    model,
    sequences: readSequences(body.sequences, service.limits),
    batchInputsMax: body.batch_size,
    useCache: body.use_cache ?? true,
    format: vectorFormat(body, call),
  };
}

async function run({ model, sequences, batchInputsMax, useCache }: Input, call: Call, service: Prott5Service): Promise<Computed> {
  const { engine, registry, triton, cache } = service;
  // Triton's pipeline parts the residues itself; tokenizers of this family take them as words.
  const isRemote = triton?.model(registry.find(model, 'model').name) !== undefined;
  const inputs = isRemote ? sequences.residues : sequences.residues.map((residues) => [...residues].join(' '));
  const startedMs = performance.now();
  const result = await engine.embed({
    model, inputs, batchInputsMax, cache: useCache ? 'use' : 'bypass', truncation: 'refuse',
    fields: { model: 'model', inputs: 'sequences', input: (index) => `sequences[${firstItem(sequences, index)}]` },
  }, call);
  return { result, engineMs: performance.now() - startedMs, compressionRatio: cache.stats().compressionRatio };
}

/** Of those in the request that mean these residues. */
function firstItem({ items, places }: Sequences, residues: number): number {
  return items.findIndex((item) => places[item] === residues);
}
