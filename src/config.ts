// Flags, environment and .env become one frozen Config. The only reader of process.env.
// Invariant: every problem is reported at once, and no secret appears in a message.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { Compile } from 'typebox/compile';
import { nearestName } from './config/nearest.ts';
import { configSchema, options } from './config/schema.ts';
import type { Config, OptionName, OptionSchema } from './config/schema.ts';
import { allowedText, valueOf } from './config/values.ts';
import { echoCharsMax } from './limits.ts';

export type { Config, OptionName } from './config/schema.ts';

/** Where options come from; tests give their own. */
export type ConfigInput = {
  /** Texts of the flags given, by option. */
  readonly flags?: ReadonlyMap<OptionName, string>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The folder whose `.env` is read. */
  readonly directory?: string;
};

export type ConfigReading = {
  readonly config: Config;
  /** `default`, `--port`, `PORT`, `PORT in .env`: where each value came from. */
  readonly origins: Readonly<Record<OptionName, string>>;
  /** One line each, for the log. */
  readonly warnings: readonly string[];
};

/** The configuration cannot be used; `problems` are readable lines, all there are. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

const prefix = 'EMB_PROVIDER_';
const secretFileBytesMax = 65_536;
const mask = '***';

/** `name` is a flag or a variable, `place` says where the variable stood: '' or ' in .env'. */
type Given = { readonly text: string; readonly name: string; readonly place: string };
type Source = { readonly place: string; readonly values: Readonly<Record<string, string | undefined>> };

/** Reads all options: flag before environment before `.env` before default. Throws ConfigError. */
export function readConfig(input: ConfigInput = {}): ConfigReading {
  const problems: string[] = [];
  const warnings: string[] = [];
  const sources: readonly Source[] = [
    { place: '', values: input.environment ?? process.env },
    { place: ' in .env', values: readDotEnv(input.directory ?? process.cwd(), problems) },
  ];
  const given = new Map<OptionName, Given>();
  const values: Partial<Record<OptionName, unknown>> = {};
  for (const [name, schema] of options) {
    values[name] = schema.default;
    const found = givenOf(name, schema, input.flags, sources, problems);
    if (found === undefined) continue;
    const value = valueOf(schema, found.text);
    const isShared = schema.option.shared === true && !found.name.startsWith('--');
    if (isShared && !isAllowed(name, value)) {
      warnings.push(`${problemOf(schema, found)} It is ignored.`);
    } else if (value === undefined) {
      problems.push(problemOf(schema, found));
    } else {
      given.set(name, found);
      values[name] = value;
    }
  }
  problems.push(...schemaProblems(values, given));
  for (const source of sources) warnings.push(...strangerWarnings(source));
  if (problems.length > 0) throw new ConfigError(problems);
  if (values.debug === true && !given.has('logLevel')) {
    values.logLevel = 'debug';
    given.set('logLevel', given.get('debug')!);
  }
  if (values.device === 'mps') {
    warnings.push('DEVICE=mps: ONNX Runtime has no Metal provider for Node; the model runs on the CPU.');
    values.device = 'cpu';
  }
  const origins = Object.fromEntries(options.map(([name]) => [name, originOf(given.get(name))]));
  return { config: freeze(values), origins: origins as Record<OptionName, string>, warnings };
}

/** A Config of defaults and `values`, for tests and for programs that embed the server. Throws ConfigError. */
export function configOf(values: Partial<Config> = {}): Config {
  const defaults = Object.fromEntries(options.map(([name, schema]) => [name, schema.default]));
  const all: Partial<Record<OptionName, unknown>> = { ...defaults, ...values };
  const problems = schemaProblems(all, new Map());
  if (problems.length > 0) throw new ConfigError(problems);
  return freeze(all);
}

/** Option names whose values must not be shown. */
export const secretNames: readonly OptionName[] = options
  .filter(([, { option }]) => option.secret)
  .map(([name]) => name);

/** The config for a person to read: each value, and where it came from. Secrets are masked. */
export function describeConfig({ config, origins }: ConfigReading): string {
  const rows = options.map(([name, { option }]) => {
    const value = config[name] ?? null;
    const shown = typeof value === 'string' ? withoutPassword(value) : value;
    return [name, { value: option.secret && value !== null ? mask : shown, from: origins[name] }];
  });
  return JSON.stringify(Object.fromEntries(rows), null, 2);
}

function readDotEnv(directory: string, problems: string[]): Readonly<Record<string, string | undefined>> {
  try {
    // Editors on Windows begin a file with a mark, which parseEnv takes for a part of the first name.
    const parsed = parseEnv(readFileSync(join(directory, '.env'), 'utf8').replace(/^\uFEFF/, ''));
    return Object.fromEntries(Object.entries(parsed).flatMap(([name, value]) => namesIn(name).map((each) => [each, value])));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A folder called .env is a Python environment, not ours.
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EISDIR') problems.push(`.env cannot be read: ${code}.`);
    return {};
  }
}

/** parseEnv of Node 20 takes lines before a name, and spaces after `export`, for a part of the name. None of a comment. */
function namesIn(name: string): readonly string[] {
  const line = name.split('\n').at(-1)!.trim();
  return line.startsWith('#') ? [] : [line.replace(/^export\s+/, '')];
}

function givenOf(
  name: OptionName, { option }: OptionSchema, flags: ReadonlyMap<OptionName, string> | undefined,
  sources: readonly Source[], problems: string[],
): Given | undefined {
  const flag = flags?.get(name);
  if (flag !== undefined) return { text: flag, name: `--${option.flag}`, place: '' };
  for (const { place, values } of sources) {
    // An empty variable is an unset one: compose files and CI write `PORT=` for "not given".
    const variable = option.env.find((env) => values[env]?.trim());
    const fileVariable = option.secret && option.env.map((env) => `${env}_FILE`).find((env) => values[env]?.trim());
    if (variable !== undefined && fileVariable !== undefined) {
      problems.push(`${variable} and ${fileVariable} are both set${place}; set one.`);
    }
    if (variable !== undefined) return { text: values[variable]!, name: variable, place };
    if (fileVariable === undefined) continue;
    const text = readSecret(fileVariable, values[fileVariable]!.trim(), problems);
    return text === undefined ? undefined : { text, name: fileVariable, place };
  }
  return undefined;
}

function readSecret(variable: string, file: string, problems: string[]): string | undefined {
  try {
    const text = readFileSync(file, 'utf8').trim();
    if (text.length > 0 && text.length <= secretFileBytesMax) return text;
    problems.push(`${variable}=${quote(file)}: the file is empty or too large.`);
  } catch (error) {
    problems.push(`${variable}=${quote(file)} cannot be read: ${(error as NodeJS.ErrnoException).code}.`);
  }
  return undefined;
}

/** By the option's own schema. */
function isAllowed(name: OptionName, value: unknown): boolean {
  return value !== undefined && Compile(configSchema.properties[name]).Check(value);
}

function originOf(given: Given | undefined): string {
  return given === undefined ? 'default' : given.name + given.place;
}

function problemOf(schema: OptionSchema, { text, name, place }: Given): string {
  const shown = schema.option.secret ? mask : quote(withoutPassword(text));
  return `${name}=${shown}${place}: must be ${allowedText(schema)}.`;
}

/** Whoever puts a password into an address that takes none shall not find it in a log. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^\s/]*@/, `//${mask}@`);
}

/** What the schema and the relations among options refuse; one line for each option. */
function schemaProblems(values: Partial<Record<OptionName, unknown>>, given: ReadonlyMap<OptionName, Given>): string[] {
  const present = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  const validator = Compile(configSchema);
  const refused = new Set<string>();
  if (!validator.Check(present)) {
    for (const { instancePath } of validator.Errors(present)) refused.add(instancePath.split('/')[1] ?? '');
  }
  for (const [name, { option }] of options) {
    const value = present[name];
    if (typeof value === 'string' && option.isUsable?.(value) === false) refused.add(name);
  }
  const problems = options.filter(([name]) => refused.has(name)).map(([name, schema]) => {
    const shown = given.get(name) ?? { text: String(values[name]), name, place: '' };
    return problemOf(schema, shown);
  });
  if (problems.length > 0) return problems;
  const { contextTokensMax, queueTokensMax } = present as Config;
  if (contextTokensMax !== undefined && contextTokensMax > queueTokensMax) {
    problems.push(`MAX_CONTEXT_LENGTH (${contextTokensMax}) is above QUEUE_TOKENS_MAX (${queueTokensMax}): ` +
      'the longest input would never find room in the queue.');
  }
  return problems;
}

/** Variables that look like ours and are not. Those of other programs are none of our business. */
function strangerWarnings({ place, values }: Source): string[] {
  const known = options.flatMap(([, { option }]) => (
    option.secret ? [...option.env, ...option.env.map((env) => `${env}_FILE`)] : option.env));
  const warnings: string[] = [];
  for (const variable of Object.keys(values)) {
    if (known.includes(variable)) continue;
    const ours = variable.toUpperCase().startsWith(prefix);
    const meant = ours ? meantByOurs(variable.toUpperCase(), known) : meantByOther(variable.toUpperCase(), known);
    if (meant === undefined && !ours) continue;
    const advice = meant === undefined ? '' : ` Did you mean ${meant}?`;
    warnings.push(`${variable}${place} is not an option of this server.${advice}`);
  }
  return warnings;
}

function meantByOurs(variable: string, known: readonly string[]): string | undefined {
  const rest = variable.slice(prefix.length);
  // Half of the name may be wrong: EMB_PROVIDER_BATCH_SIZE lacks MAX_.
  return known.includes(rest) ? rest : nearestName(variable, known, Math.floor(rest.length / 2));
}

function meantByOther(variable: string, known: readonly string[]): string | undefined {
  // Short names are two edits away from everything: PATH from PORT, NODE_PATH from MODEL_PATH.
  if (variable.length < 6) return undefined;
  return nearestName(variable, known, variable.length < 12 ? 1 : 2);
}

function quote(text: string): string {
  return JSON.stringify(text.length > echoCharsMax ? `${text.slice(0, echoCharsMax)}…` : text);
}

function freeze(values: Partial<Record<OptionName, unknown>>): Config {
  const config: Record<string, unknown> = {};
  // Unset options are absent, not undefined: the type says so.
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) config[name] = Array.isArray(value) ? Object.freeze([...value]) : value;
  }
  return Object.freeze(config) as Config;
}
