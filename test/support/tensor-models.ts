// Tensor models for tests: the demo folder on real workers, and inputs that look like what sensors give.
import path from 'node:path';
import type { TestContext } from 'node:test';
import { openTensorModel } from '../../src/registry/tensor-model.ts';
import { TensorModels, type TensorModelsOptions, type TensorObserver } from '../../src/registry/tensor-models.ts';
import { repositoryDirectory } from './repository.ts';

export const demoDirectory = path.join(repositoryDirectory, 'models/demo');

export const quiet: TensorObserver = { loaded: () => {}, failed: () => {}, unloaded: () => {}, crashed: () => {} };

export const cpuOptions = { intraOpThreads: 1, spinning: false, arena: true, devices: ['cpu'] };

/** The models of a folder, closed with the test. */
export function tensorModels(
  t: TestContext,
  directory = demoDirectory,
  changes: Partial<TensorModelsOptions> = {},
): TensorModels {
  const models = new TensorModels({
    directory,
    open: (files, onCrash) => openTensorModel(files, cpuOptions, onCrash),
    observer: quiet,
    cache: { add: () => {}, makeRoom: () => {} },
    scanEveryMs: 0,
    ...changes,
  });
  t.after(() => models.close());
  return models;
}

/** Numbers in 0..1, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Waves of every length, discs with edges, and noise; its colours go together as those of real scenes do. */
export function scene(height: number, width: number, seed = 1): number[][][] {
  const random = randomNumbers(seed);
  const waves = Array.from({ length: 24 }, () => {
    const frequency = 2 ** (random() * 6);
    const angle = random() * 2 * Math.PI;
    const size = 0.25 / frequency ** 1.1;
    return {
      across: frequency * Math.cos(angle),
      down: frequency * Math.sin(angle),
      phase: angle * 7,
      size,
      tint: random() * 0.6,
    };
  });
  const discs = Array.from({ length: 8 }, () => ({
    x: random(),
    y: random(),
    radius: 0.05 + 0.2 * random(),
    light: random() - 0.5,
  }));
  const side = Math.max(height, width);
  const pixel = (x: number, y: number): number[] => {
    const colour = [0.5, 0.5, 0.5];
    for (const wave of waves) {
      const value = wave.size * Math.sin(2 * Math.PI * (wave.across * x + wave.down * y) + wave.phase);
      colour.forEach((_, i) => (colour[i]! += value * (1 - (wave.tint * i) / 2)));
    }
    for (const disc of discs) {
      if ((x - disc.x) ** 2 + (y - disc.y) ** 2 < disc.radius ** 2)
        colour.forEach((_, i) => (colour[i]! += disc.light * (0.5 - 0.1 * i)));
    }
    const grain = (random() - 0.5) * 0.03;
    return colour.map((value) => Math.min(1, Math.max(0, value + grain + (random() - 0.5) * 0.015)));
  };
  return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => pixel(x / side, y / side)));
}

/** One of each sensor. */
export function sensors(seed = 1): { lidar: number[]; imu: number[]; audio: number[][] } {
  const random = randomNumbers(seed + 100);
  return {
    lidar: Array.from({ length: 150 }, (_, i) => 20 + 8 * Math.sin(i / 9) + random()),
    imu: [0.02, -0.1, 9.81, 0.3, 0.01, -0.2],
    audio: Array.from({ length: 30 }, (_, frame) => {
      return Array.from(
        { length: 40 },
        (_, bin) => Math.exp(-bin / 9) * (1 + 0.5 * Math.sin(frame / 5)) + 0.05 * random(),
      );
    }),
  };
}
