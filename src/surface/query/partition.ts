// What parts the tenants of one key, as the operator says: the same for chats, questions and entries.
import type { Call } from '../../operation.ts';

export type PartitionOptions = {
  /** Header names, and top-level fields of the body. */
  readonly partitionHeaders: readonly string[];
  readonly partitionFields: readonly string[];
};

export function partitionParts(
  body: Readonly<Record<string, unknown>>, call: Call, { partitionHeaders, partitionFields }: PartitionOptions,
): string[] {
  return [
    ...partitionHeaders.map((name) => `${name}=${call.header(name)}`),
    ...partitionFields.map((name) => `${name}:${JSON.stringify(body[name]) ?? ''}`),
  ];
}
