// The options for people: the help text and the README's table, made from the schema.
import { groups } from './option.ts';
import { options } from './schema.ts';
import type { OptionSchema } from './schema.ts';
import { allowedText, placeholder, textOf } from './values.ts';

const columnsMax = 100;

/** All options by group, wrapped to 100 columns. */
export function optionsHelp(): string {
  return groups.map((group) => {
    const rows = options.filter(([, { option }]) => option.group === group);
    return [`${group}:`, ...rows.map(([, schema]) => optionHelp(schema))].join('\n');
  }).join('\n\n');
}

/** The README's table; a test compares the two. */
export function optionTableMarkdown(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = options.map(([, schema]) => {
    const value = textOf(schema, schema.default);
    const cells = [
      namesOf(schema).map((name) => `\`${name}\``).join('<br>'),
      `\`${flagText(schema)}\``,
      value === '' ? 'unset' : `\`${value}\``,
      `${schema.option.help} Takes ${allowedText(schema)}.`,
    ];
    return `| ${cells.map(cell).join(' | ')} |`;
  });
  return ['| Environment | Flag | Default | Meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** Breaks `text` at spaces so that no line is longer than `columns`; every line starts with `indent`. */
export function wrap(text: string, indent: string, columns: number = columnsMax): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = indent;
    }
    line += line === indent ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}

function optionHelp(schema: OptionSchema): string {
  const value = textOf(schema, schema.default) || 'unset';
  const about = `${schema.option.help} [${namesOf(schema).join(', ')}] Default: ${value}.`;
  return `  ${flagText(schema)}\n${wrap(about, '      ')}`;
}

function namesOf({ option }: OptionSchema): readonly string[] {
  return option.secret ? [...option.env, `${option.env[0]}_FILE`] : option.env;
}

function flagText(schema: OptionSchema): string {
  const { flag } = schema.option;
  return schema.type === 'boolean' ? `--[no-]${flag}` : `--${flag} <${placeholder(schema)}>`;
}
