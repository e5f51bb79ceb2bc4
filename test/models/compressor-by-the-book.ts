// The demo compressor's code read back in double precision: what a decoder makes of `compressed` alone, and what the
// metrics then are. Shares no line with models/compressor.py.

export type Version = {
  /** Rows of the colour transform. */
  readonly colours: readonly (readonly number[])[];
  readonly differences: boolean;
  readonly rounding: number;
  readonly shift: number;
  readonly step: { readonly base: number; readonly growth: number };
};

const root = Math.sqrt;

export const versions: Readonly<Record<'1.0' | '1.1', Version>> = {
  '1.0': {
    colours: [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
    differences: false,
    rounding: 0.5,
    shift: 0,
    step: { base: 0.008, growth: 3.6 },
  },
  '1.1': {
    colours: [
      [1 / root(3), 1 / root(3), 1 / root(3)],
      [1 / root(2), 0, -1 / root(2)],
      [1 / root(6), -2 / root(6), 1 / root(6)],
    ],
    differences: true,
    rounding: 0.38,
    shift: 0.05,
    step: { base: 0.0073, growth: 3.5 },
  },
};

export type Inputs = {
  readonly image: number[][][];
  readonly lidar: number[];
  readonly imu: number[];
  readonly audio: number[][];
};

export type Decoded = {
  readonly level: number;
  readonly image: number[][][];
  /** lidar, imu, audio, each scaled to -1..1 at most and flat. */
  readonly lines: readonly number[][];
  readonly scales: readonly number[];
  /** What the codes cost, without the header. */
  readonly bits: number;
  /** Magnitudes of the coefficients by part and block; the image's are the means of its three planes. */
  readonly magnitudes: readonly (readonly (readonly number[])[])[];
};

/** What `compressed` holds, and nothing else. */
export function decode(codes: readonly number[], version: Version): Decoded {
  const [level, height, width, lidar, imu, frames, bins, ...scales] = codes.slice(0, 10) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const step = version.step.base * Math.exp(version.step.growth * level);
  const reader = new Reader(codes.slice(10), version, step);
  const grid = { rows: Math.ceil(height / 8), columns: Math.ceil(width / 8) };
  const planes = [0, 1, 2].map(() => reader.blocks(grid.rows * grid.columns, 64, version.differences));
  const sizes = [
    [lidar, 16],
    [imu, 6],
    [frames * bins, 16],
  ] as const;
  const coded = sizes.map(([length, block]) => reader.blocks(Math.ceil(length / block), block, false));
  const lines = coded.map((blocks, part) => blocks.flatMap(inverse).slice(0, sizes[part]![0]));
  if (reader.left !== 0) throw new Error(`${reader.left} codes are left over.`);
  const image = Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => {
      const block = Math.floor(y / 8) * grid.columns + Math.floor(x / 8);
      const transformed = planes.map((plane) => plane[block]!).map((each) => pixelOf(each, y % 8, x % 8));
      return [0, 1, 2].map((colour) => {
        const value = transformed.reduce((sum, each, i) => sum + each * version.colours[i]![colour]!, 0.5);
        return Math.min(1, Math.max(0, value));
      });
    }),
  );
  return {
    level,
    image,
    lines,
    scales: scales as number[],
    bits: reader.bits,
    magnitudes: [meanOfPlanes(planes), ...coded.map((blocks) => blocks.map((each) => each.map(Math.abs)))],
  };
}

/** compression_ratio and predicted_quality, from what went in and what a decoder gets. */
export function metrics(inputs: Inputs, decoded: Decoded): { ratio: number; quality: number } {
  const given = [inputs.image.flat(2), inputs.lidar, inputs.imu, inputs.audio.flat()];
  const headerWords = [2, 2, 1, 3];
  const header = 8 + 32 + given.reduce((sum, values, i) => sum + (values.length > 0 ? 32 * headerWords[i]! : 0), 0);
  const count = given.reduce((sum, values) => sum + values.length, 0);
  const pixels = decoded.image.flat(2);
  let error = given[0]!.reduce((sum, value, i) => sum + (value - pixels[i]!) ** 2, 0);
  decoded.lines.forEach((line, part) => {
    error += line.reduce((sum, value, i) => sum + (value - given[part + 1]![i]! / decoded.scales[part]!) ** 2, 0);
  });
  const mse = Math.max(1e-5, error / Math.max(1, count));
  return {
    ratio: count === 0 ? 1 : (32 * count) / (header + decoded.bits),
    quality: Math.min(1, Math.max(0, (-10 * Math.log10(mse)) / 50)),
  };
}

/**
 * temporal_out and predicted: for each part and band of frequency, the slope of the mean magnitude along the blocks,
 * and its line carried on by one block. Bands that the level gates are zero; NaN where rounding decides whether.
 */
export function features({ level, magnitudes }: Decoded): { slopes: number[]; forecasts: number[] } {
  const slopes: number[] = [];
  const forecasts: number[] = [];
  for (const blocks of magnitudes) {
    for (let band = 0; band < 8; band++) {
      const kept = 8 * (1.1 - level) - band;
      const gate = Math.abs(kept) < 1e-3 ? NaN : kept > 0 ? 1 : 0;
      const { slope, forecast } = line(blocks.map((block) => bandMean(block, band)));
      slopes.push(gate * slope);
      forecasts.push(gate * forecast);
    }
  }
  return { slopes, forecasts };
}

/** The least-squares line over (i + 1/2) / n, and its value one block ahead. */
function line(values: readonly number[]): { slope: number; forecast: number } {
  const n = values.length;
  if (n === 0) return { slope: 0, forecast: 0 };
  const times = values.map((_, i) => (i + 0.5) / n - 0.5);
  const spread = times.reduce((sum, time) => sum + time ** 2, 0);
  const slope = n === 1 ? 0 : values.reduce((sum, value, i) => sum + times[i]! * value, 0) / spread;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  return { slope, forecast: mean + slope * (0.5 + 0.5 / n) };
}

function bandMean(block: readonly number[], band: number): number {
  const inside = block.filter((_, i) => Math.floor((i * 8) / block.length) === band);
  return inside.reduce((sum, value) => sum + value, 0) / Math.max(1, inside.length);
}

function meanOfPlanes(planes: readonly (readonly (readonly number[])[])[]): number[][] {
  return planes[0]!.map((block, b) =>
    block.map((_, i) => planes.reduce((sum, plane) => sum + Math.abs(plane[b]![i]!), 0) / 3),
  );
}

class Reader {
  readonly #codes: readonly number[];
  readonly #version: Version;
  readonly #step: number;
  #at = 0;
  bits = 0;

  constructor(codes: readonly number[], version: Version, step: number) {
    this.#codes = codes;
    this.#version = version;
    this.#step = step;
  }

  get left(): number {
    return this.#codes.length - this.#at;
  }

  /** Coefficients, block after block. */
  blocks(count: number, size: number, differences: boolean): number[][] {
    let before = 0;
    return Array.from({ length: count }, () => {
      const codes = this.#codes.slice(this.#at, (this.#at += size));
      this.bits += blockBits(codes);
      if (differences) before = codes[0] = codes[0]! + before;
      return codes.map(
        (code) => Math.sign(code) * (Math.abs(code) - (code === 0 ? 0 : this.#version.shift)) * this.#step,
      );
    });
  }
}

/** The last place that is not zero, a bit for each up to there, sign and Elias gamma for what is not zero. */
function blockBits(codes: readonly number[]): number {
  const last = codes.findLastIndex((code) => code !== 0) + 1;
  let bits = codes.length.toString(2).length + last;
  for (const code of codes) {
    if (!Number.isInteger(code)) throw new Error(`${code} is no code.`);
    if (code !== 0) bits += 2 * (Math.abs(code).toString(2).length - 1) + 2;
  }
  return bits;
}

function cosine(position: number, frequency: number, size: number): number {
  return Math.cos((Math.PI * (position + 0.5) * frequency) / size) * Math.sqrt((frequency === 0 ? 1 : 2) / size);
}

function inverse(coefficients: readonly number[]): number[] {
  return coefficients.map((_, position) =>
    coefficients.reduce((sum, value, k) => sum + value * cosine(position, k, coefficients.length), 0),
  );
}

function pixelOf(coefficients: readonly number[], y: number, x: number): number {
  return coefficients.reduce((sum, value, i) => {
    const [row, column] = zigzag[i]!;
    return value === 0 ? sum : sum + value * cosine(y, row, 8) * cosine(x, column, 8);
  }, 0);
}

/** ITU-T T.81, figure 5: up and to the right along even diagonals, down along odd ones. */
const zigzag: readonly (readonly [row: number, column: number])[] = Array.from({ length: 15 }, (_, diagonal) => {
  const cells = Array.from({ length: 8 }, (_, row) => [row, diagonal - row] as const).filter(
    ([, column]) => column >= 0 && column < 8,
  );
  return diagonal % 2 === 0 ? cells.reverse() : cells;
}).flat();
