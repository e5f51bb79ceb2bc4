// One option: what a schema cannot say about it, and the kinds that come up again and again.
import Type from 'typebox';

export const groups = ['Server', 'Model', 'Hub', 'Triton', 'Computation', 'Request limits', 'Access', 'Observation', 'Embedding cache', 'Semantic cache', 'Storage', 'Upstream'] as const;

/** What a schema cannot say about an option. */
export type OptionRow = {
  readonly group: (typeof groups)[number];
  /** Without the dashes. A boolean also gets `--no-…`. */
  readonly flag: string;
  /** The first is the option's name; the others are aliases and lose to it. */
  readonly env: readonly [string, ...string[]];
  /** One sentence or two for help and README. */
  readonly help: string;
  /** What the number is outside; inside it is milliseconds or bytes. */
  readonly unit?: 'seconds' | 'bytes';
  /** Masked wherever it is shown; may also stand in the file that `<NAME>_FILE` names. */
  readonly secret?: true;
  /** What is allowed, in words, where type and bounds do not say it. */
  readonly allowed?: string;
  /** What the schema lets through and still cannot be used: who meets it first would show it in an error. */
  readonly isUsable?: (text: string) => boolean;
  /** Other spellings of a choice, in lower case without `-` and `_`. */
  readonly spellings?: Readonly<Record<string, string>>;
  /** A value that is not allowed is ignored with a warning: other programs use the same variable. */
  readonly shared?: true;
};

/** Timers take at most 2^31 - 1 ms; a longer one would fire at once. */
export const timerMsMax = 2_147_483_000;

export const row = (option: OptionRow): { option: OptionRow } => ({ option });
export const autoOr = (minimum: number, maximum: number, option: OptionRow) =>
  Type.Union([Type.Literal('auto'), Type.Integer({ minimum, maximum })], { default: 'auto', option });
export const upTo = (maximum: number, value: number, option: OptionRow) =>
  Type.Integer({ minimum: 1, maximum, default: value, option });
export const yesNo = (value: boolean, option: OptionRow) => Type.Boolean({ default: value, option });
