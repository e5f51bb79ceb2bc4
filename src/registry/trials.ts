// What a model is run on before it is trusted: its defaults, and zeros of some size where it leaves the size open.
import type { CheckTrial, TrialInput } from '../backend/check-protocol.ts';
import { trialElementsMax } from '../limits.ts';
import type { TensorInput, TensorTable } from './tensor-manifest.ts';

/** For open dimensions, the smallest first: convolutions need more than one pixel. */
const openSizes = [1, 8, 32, 128];

/** In the order in which they should be tried; none when a fixed shape is too large for any. */
export function trialsOf({ inputs, outputs }: TensorTable): readonly CheckTrial[] {
  const names = outputs.map(({ name }) => name);
  const sizes = inputs.some(isOpen) ? openSizes : openSizes.slice(0, 1);
  return sizes.flatMap((size) => {
    const filled = inputs.map((input) => trialInput(input, size));
    const fits = filled.every((input) => 'tensor' in input || elementsOf(input.shape) <= trialElementsMax);
    return fits ? [{ kind: 'run' as const, inputs: filled, outputs: names }] : [];
  });
}

function isOpen({ shape, default: given }: TensorInput): boolean {
  return given === undefined && (shape ?? []).some((size) => typeof size === 'string' || size < 0);
}

function trialInput(input: TensorInput, openSize: number): TrialInput {
  const { name, datatype, shape = [], range } = input;
  if (input.default !== undefined) return { name, tensor: input.default };
  const sizes = shape.map((size) => (typeof size === 'string' || size < 0 ? openSize : size));
  const [least, most] = range ?? [0, 0];
  return { name, datatype, shape: sizes, fill: Math.min(Math.max(0, least), most) };
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}
