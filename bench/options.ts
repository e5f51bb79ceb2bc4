// What the command line of a bench run may say.
import { parseArgs } from 'node:util';
import { profiles, type Profile } from './corpus.ts';
import { modelNames, sharedFolder, type ModelName } from './models.ts';

export type BenchOptions = {
  readonly models: readonly ModelName[];
  readonly profiles: readonly Profile[];
  /** Of each measurement. */
  readonly seconds: number;
  /** Of each try when the limit's best setting is looked for. */
  readonly searchSeconds: number;
  /** Padded tokens a run that the search chooses from. */
  readonly runTokens: readonly number[];
  /** How often limit and server take turns. */
  readonly rounds: number;
  /** How many server starts the time to the first answer is the median of. */
  readonly starts: number;
  /** How long to wait for a quiet machine, and to measure again what was disturbed, in all. */
  readonly patienceSeconds: number;
  /** Print the limit of every thread setting and run size instead of running a server. */
  readonly limits: boolean;
  /** The folder of the fp32 and int8 files. */
  readonly modelFolder: string;
};

const usage = `Usage: npm run bench -- [options]
  --quick                      one short round instead of three
  --only default|fp32|int8     one model
  --profile short|mixed|long   one length profile
  --seconds N                  seconds a measurement
  --rounds N                   how often limit and server take turns
  --patience N                 seconds to wait in all for a machine that others use too
  --models DIR                 where the fp32 and int8 files of all-MiniLM-L6-v2 are
  --limits                     the limit alone, for every thread setting and run size`;

/** Reads the arguments; ends the process with the usage text when they make no sense. */
export function parseOptions(args: readonly string[]): BenchOptions {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        limits: { type: 'boolean', default: false },
        only: { type: 'string' },
        profile: { type: 'string' },
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        patience: { type: 'string' },
        models: { type: 'string', default: sharedFolder },
      },
    });
    return {
      models: chosen(modelNames, values.only, '--only'),
      profiles: chosen(profiles, values.profile, '--profile'),
      seconds: positive(values.seconds, values.quick ? 1 : 2, '--seconds'),
      searchSeconds: values.quick ? 0.2 : 0.5,
      runTokens: values.quick ? [128, 256] : [96, 128, 160, 192, 256],
      rounds: positive(values.rounds, values.quick ? 1 : 3, '--rounds'),
      starts: values.quick ? 1 : 3,
      patienceSeconds: positive(values.patience, values.quick ? 5 : 60, '--patience'),
      limits: values.limits,
      modelFolder: values.models,
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(2);
  }
}

function chosen<T extends string>(all: readonly T[], wanted: string | undefined, name: string): readonly T[] {
  if (wanted === undefined) return all;
  const found = all.filter((item) => item === wanted);
  if (found.length === 0) throw new Error(`${name} is one of ${all.join(', ')}.`);
  return found;
}

function positive(text: string | undefined, standard: number, name: string): number {
  const value = text === undefined ? standard : Number(text);
  if (!(value > 0)) throw new Error(`${name} is a number above 0.`);
  return value;
}
