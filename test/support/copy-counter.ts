// Counts the bytes that JavaScript copies from one buffer to another in this thread, by watching every method that can.
// What native code copies, between the kernel and the process above all, is not seen.

type Method = (this: unknown, ...args: never[]) => unknown;

export type CopyCounter = {
  /** Bytes copied in pieces of at least `pieceBytesMin` since the last call. */
  take(): number;
  stop(): void;
};

/** Small pieces, headers above all, are not counted: they do not grow with the tensor. */
export function countCopies(pieceBytesMin: number): CopyCounter {
  let copied = 0;
  const restores: (() => void)[] = [];
  const watch = (owner: object, name: string, bytes: (self: any, args: any[], result: any) => number): void => {
    const original = Reflect.get(owner, name) as Method;
    const watched = function (this: unknown, ...args: unknown[]): unknown {
      const result: unknown = Reflect.apply(original, this, args);
      const count = bytes(this, args, result);
      if (count >= pieceBytesMin) copied += count;
      return result;
    };
    Object.defineProperty(owner, name, { value: watched, configurable: true, writable: true });
    restores.push(() => Object.defineProperty(owner, name, { value: original, configurable: true, writable: true }));
  };
  const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
  watch(typedArray, 'set', (_self, [source]) => (source as Uint8Array).byteLength ?? (source as unknown[]).length);
  watch(typedArray, 'slice', (_self, _args, result) => (result as Uint8Array).byteLength);
  watch(ArrayBuffer.prototype, 'slice', (_self, _args, result) => (result as ArrayBuffer).byteLength);
  watch(Buffer, 'concat', (_self, _args, result) => (result as Buffer).byteLength);
  watch(Buffer, 'from', (_self, [source], result) => (source instanceof ArrayBuffer || source instanceof SharedArrayBuffer ? 0 : (result as Buffer).byteLength));
  watch(Buffer.prototype, 'copy', (_self, _args, result) => result as number);
  watch(Buffer.prototype, 'write', (_self, _args, result) => result as number);
  watch(Buffer.prototype, 'toString', (_self, _args, result) => (result as string).length);
  return {
    take: () => {
      const taken = copied;
      copied = 0;
      return taken;
    },
    stop: () => {
      for (const restore of restores) restore();
    },
  };
}
