// An option's value as text: from the outside in, and from the inside out. Pure.
// Invariant: `textOf` of a value is a text that `valueOf` reads as the same value.
import type { OptionSchema } from './schema.ts';

const booleans = new Map([
  ['true', true], ['1', true], ['yes', true], ['on', true], ['y', true], ['t', true],
  ['false', false], ['0', false], ['no', false], ['off', false], ['n', false], ['f', false],
]);
const byteUnits = new Map([['', 1], ['k', 1024], ['m', 1024 ** 2], ['g', 1024 ** 3]]);
const secondUnits = new Map([['ms', 1], ['s', 1000], ['', 1000], ['m', 60_000], ['h', 3_600_000]]);

/** The value that `text` stands for, undefined when it stands for none. Bounds are the schema's to check. */
export function valueOf(schema: OptionSchema, text: string): unknown {
  const trimmed = text.trim();
  const choice = choiceOf(schema, trimmed);
  if (choice !== undefined || schema.enum !== undefined) return choice;
  if (schema.type === 'boolean') return booleans.get(trimmed.toLowerCase());
  if (schema.type === 'array') return listOf(trimmed);
  if (schema.type === 'string') return trimmed;
  if (schema.option.unit === 'bytes') return bytesOf(trimmed);
  if (schema.option.unit === 'seconds') return millisecondsOf(trimmed);
  if (schema.type === 'number') return /^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(trimmed) ? Number(trimmed) : undefined;
  return /^[+-]?\d+$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** How the option's value is written outside: in its own unit, lists with commas. */
export function textOf(schema: OptionSchema, value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.some((item) => /^\[|,/.test(item)) ? JSON.stringify(value) : value.join(',');
  if (schema.option.unit === 'seconds') return String(Number(value) / 1000);
  if (schema.option.unit === 'bytes') return bytesText(Number(value));
  return String(value);
}

/** What the option takes, in words that end a sentence beginning with "must be". */
export function allowedText(schema: OptionSchema): string {
  const { allowed, unit } = schema.option;
  if (allowed !== undefined) return allowed;
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'boolean') return 'true or false';
  if (schema.type === 'string') return 'a text';
  const { minimum, maximum } = boundsOf(schema);
  if (unit === 'seconds') return `seconds from ${minimum / 1000} to ${maximum / 1000}, or like 500ms, 30s, 5m, 1h`;
  if (unit === 'bytes') return `bytes from ${bytesText(minimum)} to ${bytesText(maximum)}, or like 512KB, 10MB`;
  if (schema.type === 'number') return `a number from ${minimum} to ${maximum}`;
  return [...choicesOf(schema), `a whole number from ${minimum} to ${maximum}`].join(' or ');
}

/** The placeholder of the option's value in help, without brackets. */
export function placeholder(schema: OptionSchema): string {
  if (schema.enum !== undefined) return schema.enum.join('|');
  if (schema.type === 'array') return 'list';
  if (schema.option.unit === 'bytes') return 'size';
  if (schema.option.unit !== undefined) return schema.option.unit;
  if (schema.type === 'string') return 'text';
  return [...choicesOf(schema), 'number'].join('|');
}

function choicesOf(schema: OptionSchema): readonly string[] {
  if (schema.enum !== undefined) return schema.enum;
  return (schema.anyOf ?? []).flatMap((part) => (part.const === undefined ? [] : [part.const]));
}

function boundsOf(schema: OptionSchema): { minimum: number; maximum: number } {
  const part = schema.anyOf?.find(({ minimum }) => minimum !== undefined) ?? schema;
  return { minimum: part.minimum ?? 0, maximum: part.maximum ?? Number.MAX_SAFE_INTEGER };
}

function choiceOf(schema: OptionSchema, text: string): string | undefined {
  const { spellings = {} } = schema.option;
  const key = plain(text);
  const choice = choicesOf(schema).find((name) => plain(name) === key);
  return choice ?? (Object.hasOwn(spellings, key) ? spellings[key] : undefined);
}

const plain = (text: string): string => text.toLowerCase().replace(/[-_]/g, '');

function listOf(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return text.split(',').map((item) => item.trim()).filter((item) => item !== '');
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}

function bytesOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmg])(?:i?b)?|b)?$/i.exec(text);
  return match === null ? undefined : Math.floor(Number(match[1]) * byteUnits.get((match[2] ?? '').toLowerCase())!);
}

function millisecondsOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/i.exec(text);
  return match === null ? undefined : Math.round(Number(match[1]) * secondUnits.get((match[2] ?? '').toLowerCase())!);
}

function bytesText(bytes: number): string {
  for (const unit of ['g', 'm', 'k']) {
    const size = byteUnits.get(unit)!;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit.toUpperCase()}B`;
  }
  return String(bytes);
}
