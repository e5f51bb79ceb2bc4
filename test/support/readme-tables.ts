// The README's tables, made from the code that they describe. `npm run docs` writes them; a test compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { optionTableMarkdown } from '../../src/config/help.ts';
import { errorTable } from '../../src/errors.ts';
import { repositoryDirectory } from './repository.ts';

export const readmeFile = join(repositoryDirectory, 'README.md');

function errorTableMarkdown(): string {
  const rows = Object.entries(errorTable).map(([code, { http, retry, message }]) => {
    return `| ${http} | \`${code}\` | ${message} | ${retry ? 'yes' : ''} |`;
  });
  return ['| Status | Code | Meaning | Retry |', '|---|---|---|---|', ...rows].join('\n');
}

/** `text` with its tables made anew between their marks. */
export function withTables(text: string): string {
  return withTable(withTable(text, 'options', optionTableMarkdown()), 'errors', errorTableMarkdown());
}

function withTable(text: string, name: string, table: string): string {
  const marked = new RegExp(`(<!-- ${name}: [^\\n]*-->\\n)[^]*?(<!-- /${name} -->)`);
  if (!marked.test(text)) throw new Error(`README.md has no marks for the table of ${name}`);
  return text.replace(marked, (_, start: string, end: string) => `${start}\n${table.trim()}\n\n${end}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(readmeFile, withTables(readFileSync(readmeFile, 'utf8')));
}
