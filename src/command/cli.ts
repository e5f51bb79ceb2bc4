// The command line: which command, which flags, and the exit codes. Reads, never acts: main.ts does that.
import { parseArgs } from 'node:util';
import { optionsHelp, wrap } from '../config/help.ts';
import { nearestName } from '../config/nearest.ts';
import { options } from '../config/schema.ts';
import type { OptionName, OptionSchema } from '../config/schema.ts';
import { ConfigError, describeConfig, readConfig } from '../config.ts';
import type { Config, ConfigInput } from '../config.ts';
import { echoCharsMax } from '../limits.ts';

/** What the process ends with, after sysexits.h; the only place that knows the numbers. */
export const exitCodes = {
  ok: { code: 0, meaning: 'It did what was asked.' },
  usage: { code: 2, meaning: 'The command line is wrong.' },
  unavailable: { code: 69, meaning: 'The address or port cannot be had, or the model hub.' },
  internal: { code: 70, meaning: 'The server failed; its log says why.' },
  config: { code: 78, meaning: 'An option has a value that is not allowed, or the model cannot be used.' },
} as const satisfies Record<string, { code: number; meaning: string }>;

export type ExitReason = keyof typeof exitCodes;

/** Ends the process before or instead of serving. `message` is for standard error, lines without a stack. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly reason: ExitReason;

  constructor(reason: ExitReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }

  get exitCode(): number {
    return exitCodes[this.reason].code;
  }
}

type CommandRow = {
  readonly summary: string;
  /** Words after the command, as help shows them. */
  readonly operands: readonly string[];
  /** The flag that asks for the command in place of its name. */
  readonly flag?: { readonly long: string; readonly short?: string };
};

/** A new command is a row here and a case in main.ts. */
export const commands = {
  serve: { summary: 'Start the server; also without any command.', operands: [] },
  pull: {
    summary: 'Bring a model of the hub into the cache and print its folder.', operands: ['[REPO[@REVISION]]'],
  },
  warm: {
    summary: 'Send the texts of a file to the server at HOST and PORT, for its cache.',
    operands: ['FILE'],
  },
  cache: {
    summary: 'The semantic cache there: stats, list, delete, purge, dump, load, warm.',
    operands: ['ACTION', '[WORD...]'],
  },
  'print-config': {
    summary: 'Print each option\'s value and where it came from.', operands: [], flag: { long: 'print-config' },
  },
  help: { summary: 'Print this.', operands: [], flag: { long: 'help', short: 'h' } },
  version: { summary: 'Print the version.', operands: [], flag: { long: 'version', short: 'v' } },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof commands;

/** What the command line asks for. `text` is for standard output; `warnings` are one line each, for the log. */
export type Invocation =
  | { readonly command: 'serve'; readonly config: Config; readonly warnings: readonly string[] }
  | {
    readonly command: 'pull';
    /** As it was written; undefined for all that the option `models` names. */
    readonly repo: string | undefined;
    readonly config: Config;
    readonly warnings: readonly string[];
  }
  | { readonly command: 'warm'; readonly file: string; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly command: 'cache'; readonly words: readonly string[]; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly command: 'print-config'; readonly text: string; readonly warnings: readonly string[] }
  | { readonly command: 'help'; readonly text: string; readonly warnings: readonly [] }
  | { readonly command: 'version'; readonly warnings: readonly [] };

const commandRows = Object.entries(commands) as readonly (readonly [CommandName, CommandRow])[];
const commandFlags: ReadonlyMap<string, CommandName> = new Map(commandRows.flatMap(([name, { flag }]) => (
  flag === undefined ? [] : [[flag.long, name] as const])));
const optionFlags: ReadonlyMap<string, readonly [OptionName, OptionSchema]> = new Map(
  options.map((entry) => [entry[1].option.flag, entry]));

/** Reads the arguments after the program's name. Throws ExitError. */
export function readCommandLine(argv: readonly string[], world: Omit<ConfigInput, 'flags'> = {}): Invocation {
  const { command, operands, flags, problems } = readArguments(argv);
  // Whoever asks for help gets it, whatever else is wrong.
  if (command === 'help') return { command, text: helpText(), warnings: [] };
  if (command === 'version') return { command, warnings: [] };
  if (problems.length > 0) throw new ExitError('usage', [...problems, 'Try --help.'].join('\n'));
  try {
    const reading = readConfig({ ...world, flags });
    if (command === 'print-config') return { command, text: describeConfig(reading), warnings: reading.warnings };
    const { config, warnings } = reading;
    if (command === 'warm') return { command, file: operands[0]!, config, warnings };
    if (command === 'cache') return { command, words: operands, config, warnings };
    return command === 'pull' ? { command, repo: operands[0], config, warnings } : { command, config, warnings };
  } catch (error) {
    if (error instanceof ConfigError) throw new ExitError('config', error.message);
    throw error;
  }
}

export function helpText(): string {
  const names = commandRows.map(([name, { summary, operands }]) => (
    `  ${[name, ...operands].join(' ').padEnd(26)}${summary}`));
  const codes = Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padEnd(4)}${meaning}`);
  const order = 'A flag wins over the environment variables in brackets, the environment over a .env file in ' +
    'the working directory, and that over the default.';
  return [
    'Usage: ortserve [command] [options]', '', 'Commands:', ...names, '', wrap(order, ''), '', optionsHelp(), '',
    'Exit codes:', ...codes, '',
  ].join('\n');
}

type Arguments = {
  command: CommandName;
  /** The words after the command. */
  operands: readonly string[];
  flags: Map<OptionName, string>;
  problems: string[];
};
type OptionToken = {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
};

function readArguments(argv: readonly string[]): Arguments {
  const { tokens } = parseArgs({
    args: [...argv], options: parseOptions(), strict: false, allowPositionals: true, tokens: true,
  });
  const words: string[] = [];
  const problems: string[] = [];
  const flags = new Map<OptionName, string>();
  let asked: CommandName | undefined;
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const command = token.value === undefined ? commandFlags.get(token.name) : undefined;
    // Help wins over the other commands that are flags; of those the first counts.
    if (command !== undefined) asked = command === 'help' ? command : asked ?? command;
    else problems.push(...readOption(token, flags));
  }
  const [word = 'serve', ...operands] = words;
  const named = Object.hasOwn(commands, word) ? word as CommandName : undefined;
  // After a wrong flag nobody knows which words were meant as its value.
  if (problems.length === 0) problems.push(...wordProblems(word, named, operands));
  return { command: asked ?? named ?? 'serve', operands, flags, problems };
}

function wordProblems(word: string, named: CommandName | undefined, operands: readonly string[]): string[] {
  if (named === undefined) return [unknown('command', word, Object.keys(commands))];
  const { operands: wanted } = commands[named];
  // In brackets stands what may be left out.
  const missing = wanted.slice(operands.length).find((operand) => !operand.startsWith('['));
  if (missing !== undefined) return [`${named} needs ${/^[AEIOU]/.test(missing) ? 'an' : 'a'} ${missing}.`];
  if (wanted.at(-1)?.endsWith('...]') === true) return [];
  const extra = operands[wanted.length];
  return extra === undefined ? [] : [`${quoted(extra)} is one word too many.`];
}

/** Takes one flag into `flags`; what is wrong with it comes back. */
function readOption(token: OptionToken, flags: Map<OptionName, string>): string[] {
  const negated = token.name.startsWith('no-') ? optionFlags.get(token.name.slice(3)) : undefined;
  if (negated?.[1].type === 'boolean') {
    if (token.value !== undefined) return [`${token.rawName} takes no value.`];
    flags.set(negated[0], 'false');
    return [];
  }
  const entry = optionFlags.get(token.name);
  if (entry === undefined) {
    const known = [...optionFlags.keys(), ...commandFlags.keys()];
    return [unknown('option', token.rawName, known.map((name) => `--${name}`))];
  }
  const [name, schema] = entry;
  const value = token.value ?? (schema.type === 'boolean' ? 'true' : undefined);
  // `--port --debug` has forgotten the port; no option takes a value that starts with a dash.
  const forgotten = value === undefined || (token.inlineValue === false && value.startsWith('-'));
  if (forgotten) return [`${token.rawName} needs a value.`];
  flags.set(name, value);
  return [];
}

type ParseRow = { type: 'string' | 'boolean'; short?: string };

function parseOptions(): Record<string, ParseRow> {
  const rows: Record<string, ParseRow> = {};
  for (const [flag, [, { type }]] of optionFlags) rows[flag] = { type: type === 'boolean' ? 'boolean' : 'string' };
  for (const [, { flag }] of commandRows) {
    if (flag !== undefined) rows[flag.long] = { type: 'boolean', ...(flag.short && { short: flag.short }) };
  }
  return rows;
}

function unknown(kind: string, name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known, 3);
  return `There is no ${kind} ${quoted(name)}.${nearest === undefined ? '' : ` Did you mean ${nearest}?`}`;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > echoCharsMax ? `${text.slice(0, echoCharsMax)}…` : text);
}
