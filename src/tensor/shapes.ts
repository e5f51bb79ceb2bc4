// Shapes of tensors: what a client says one is, and whether it fits what a model wants.
import { ServerError } from '../errors.ts';
import { tensorElementsMax, tensorRankMax } from '../limits.ts';

/** A size, -1 for any, or a name: one name has one size in all inputs of a request. */
export type Dimension = number | string;

/** Sizes given so far, by the name of the dimension. */
export type BoundDimensions = Map<string, { readonly size: number; readonly field: string }>;

/**
 * The number of elements. Throws INPUT_TOO_LONG naming `field` above `tensorElementsMax`; sizes are
 * non-negative integers. A tensor of no elements is bound by its other sizes: graphs loop over those, too.
 */
export function elementCount(shape: readonly number[], field: string): number {
  let count = 1;
  for (const size of shape) {
    count *= Math.max(size, 1);
    // Each step is checked, so the product never leaves the exact integers.
    if (count > tensorElementsMax) {
      const detail = `'${field}' has the shape ${shapeText(shape)}; at most ${tensorElementsMax} values are allowed.`;
      throw new ServerError('INPUT_TOO_LONG', detail, { field });
    }
  }
  return shape.includes(0) ? 0 : count;
}

/** A shape as a client gives it. Throws REQUEST_INVALID naming `field`. */
export function checkShape(shape: unknown, field: string): readonly number[] {
  const isShape =
    Array.isArray(shape) &&
    shape.length <= tensorRankMax &&
    shape.every((size) => Number.isInteger(size) && size >= 0 && size <= 0x7fffffff);
  if (isShape) return shape as number[];
  const detail = `'${field}' must be a list of at most ${tensorRankMax} sizes: integers of 0 or more.`;
  throw new ServerError('REQUEST_INVALID', detail, { field });
}

/** Throws REQUEST_INVALID naming `field` when `given` is no instance of `wanted`; notes the named sizes in `bound`. */
export function fitShape(
  wanted: readonly Dimension[],
  given: readonly number[],
  field: string,
  bound: BoundDimensions,
): void {
  const fits =
    wanted.length === given.length &&
    wanted.every((size, i) => typeof size === 'string' || size < 0 || size === given[i]);
  if (!fits) {
    const detail = `'${field}' has the shape ${shapeText(given)} instead of ${shapeText(wanted)}.`;
    throw new ServerError('REQUEST_INVALID', detail, { field });
  }
  for (const [i, name] of wanted.entries()) {
    if (typeof name !== 'string') continue;
    const size = given[i]!;
    const before = bound.get(name);
    if (before !== undefined && before.size !== size) {
      const detail = `'${field}' has ${size} as its '${name}', and '${before.field}' has ${before.size}.`;
      throw new ServerError('REQUEST_INVALID', detail, { field });
    }
    bound.set(name, before ?? { size, field });
  }
}

/** `[2, any, 3]`, `[]` for a single value. */
export function shapeText(shape: readonly Dimension[]): string {
  return `[${shape.map((size) => (size === -1 ? 'any' : String(size))).join(', ')}]`;
}

/** `image[3][2]`: element `index` of a tensor that a client wrote as nested lists. */
export function elementPath(field: string, shape: readonly number[], index: number): string {
  let path = '';
  let rest = index;
  for (const size of shape.toReversed()) {
    path = `[${rest % size}]${path}`;
    rest = Math.floor(rest / size);
  }
  return field + path;
}
