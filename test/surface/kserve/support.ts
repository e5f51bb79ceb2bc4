// The protocol's operations on the identity models, with real workers and a real embedding model's stand-in.
import type { TestContext } from 'node:test';
import { Inflater } from '../../../src/surface/kserve/compression.ts';
import { kserveError } from '../../../src/surface/kserve/errors.ts';
import { KserveModels } from '../../../src/surface/kserve/models.ts';
import { kserveOperations, type KserveSurface } from '../../../src/surface/kserve/operations.ts';
import type { KnownModel } from '../../../src/registry/registry.ts';
import type { HeldBackend } from '../../support/held-backend.ts';
import { heldModel } from '../../support/held-model.ts';
import { identityFolder } from '../../support/identity-models.ts';
import { tensorModels } from '../../support/tensor-models.ts';
import { serve, type Served } from '../../transport/support.ts';

export const bodyBytesMax = 32 * 1024 * 1024;

/** The embedding model `org/held`, whose batches may be held. */
type Held = { readonly backend: HeldBackend; readonly model: KnownModel };

export function kserveSurface(t: TestContext): KserveSurface & { readonly directory: string } & Held {
  const { directory, remove } = identityFolder();
  t.after(remove);
  const { registry, engine, backend, model } = heldModel();
  const limits = { inputsMax: 100, charsMax: 1000 };
  const models = new KserveModels({ tensors: tensorModels(t, directory), registry, engine, limits });
  return { models, version: '1.2.3', ready: () => true, inflater: new Inflater(bodyBytesMax, 4 * bodyBytesMax), directory, backend, model };
}

export async function serveKserve(t: TestContext): Promise<Served & { readonly directory: string } & Held> {
  const surface = kserveSurface(t);
  const errorShapes = [{ prefix: '/', encodeError: kserveError }];
  const served = await serve(t, kserveOperations(surface), { requestBytesMax: bodyBytesMax, errorShapes });
  return { ...served, directory: surface.directory, backend: surface.backend, model: surface.model };
}

export type Input = { readonly name?: string; readonly shape: readonly number[]; readonly datatype: string; readonly bytes?: Uint8Array; readonly data?: unknown; readonly size?: number };

/** A request body and its header's length, which is `undefined` when there are no bytes after the JSON. */
export function inferBody(inputs: readonly Input[], more: object = {}): { body: Uint8Array; headerBytes: number | undefined } {
  const json = Buffer.from(JSON.stringify({
    inputs: inputs.map(({ name = 'input', shape, datatype, bytes, data, size = bytes?.byteLength }) => ({
      name, shape, datatype, ...(data !== undefined && { data }), ...(size !== undefined && { parameters: { binary_data_size: size } }),
    })),
    ...more,
  }));
  const parts = inputs.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes]));
  return { body: Buffer.concat([json, ...parts]), headerBytes: parts.length > 0 ? json.byteLength : undefined };
}

export type Answer = { readonly status: number; readonly json: any; readonly binary: Buffer; readonly headers: Headers };

export async function infer(
  url: string, model: string, body: Uint8Array | string, headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = await fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', body, headers });
  const bytes = Buffer.from(await answer.arrayBuffer());
  const headerBytes = Number(answer.headers.get('inference-header-content-length') ?? bytes.length);
  const json: unknown = JSON.parse(bytes.subarray(0, headerBytes).toString());
  return { status: answer.status, json, binary: bytes.subarray(headerBytes), headers: answer.headers };
}

export function headerOf(headerBytes: number | undefined): Record<string, string> {
  return headerBytes === undefined ? {} : { 'inference-header-content-length': String(headerBytes) };
}
