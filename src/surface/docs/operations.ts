// `GET /openapi.json` and the page that shows it. Everything is served from here: no CDN, nothing of other origins.
// Invariant: only files of the list below can be asked for; they are read once, at their first use.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { ServerError } from '../../errors.ts';
import type { AnyOperation, Operation, Reply } from '../../operation.ts';
import { openapiDocument } from './openapi.ts';
import type { ApiInfo } from './openapi.ts';

export type DocsInit = {
  readonly info: ApiInfo;
  /** All operations of the server, these included; asked for at the first use. */
  readonly operations: () => readonly AnyOperation[];
  /** The group these belong to, and how it writes errors. */
  readonly group: string;
  readonly encodeError: AnyOperation['encodeError'];
};

const swaggerFiles: ReadonlyMap<string, string> = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['favicon-32x32.png', 'image/png'],
]);

// Swagger UI sets style attributes and draws icons as data: images; it needs no other exception.
const contentSecurityPolicy = [
  "default-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:", "object-src 'none'",
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
].join('; ');

const safetyHeaders = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };
const cachedHeaders = { ...safetyHeaders, 'cache-control': 'public, max-age=3600' };

// `data-spec` instead of a fixed path, because a proxy may serve all of this below a prefix.
const startScript = `window.ui = SwaggerUIBundle({
  url: document.currentScript.dataset.spec,
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
});
`;

/** The operations of the API description and its page. */
export function docsOperations(init: DocsInit): readonly AnyOperation[] {
  const shared = { method: 'GET', group: init.group, scope: 'public', unlimited: true, encodeError: init.encodeError } as const;
  const documentText = once(() => JSON.stringify(openapiDocument(init.operations(), init.info)));
  const files = new StaticFiles();
  const description: Operation<undefined, string> = {
    ...shared, name: 'docs.openapi', path: '/openapi.json', summary: 'This description.',
    responseSchema: { type: 'object' },
    decode: () => undefined,
    run: () => documentText(),
    encode: (text) => ({ status: 200, contentType: 'application/json', headers: safetyHeaders, body: text }),
  };
  const page: Operation<undefined, string> = {
    ...shared, name: 'docs.page', path: '/docs', summary: 'This description as a page.', binaryTypes: ['text/html'],
    decode: () => undefined,
    run: () => indexPage(init.info.title, 'docs/', 'openapi.json'),
    encode: pageReply,
  };
  // A path of its own, as a star never stands for nothing; seen from there the files and the description lie elsewhere.
  const pageOfFolder = { ...page, path: '/docs/', run: () => indexPage(init.info.title, '', '../openapi.json') };
  const file: Operation<string, Reply> = {
    ...shared, name: 'docs.file', path: '/docs/*', summary: 'The files of that page.',
    binaryTypes: ['text/css', 'text/javascript', 'image/png'],
    decode: (_bytes, call) => call.parameters['*'] ?? '',
    run: (name) => files.reply(name),
    encode: (reply) => reply,
  };
  return [description, page, pageOfFolder, file];
}

class StaticFiles {
  readonly #replies = new Map<string, Promise<Reply>>([
    ['start.js', Promise.resolve(fileReply('text/javascript; charset=utf-8', startScript))],
  ]);

  /** Throws ServerError ROUTE_NOT_FOUND for a name that is not on the list. */
  reply(name: string): Promise<Reply> {
    const known = this.#replies.get(name);
    if (known !== undefined) return known;
    const contentType = swaggerFiles.get(name);
    if (contentType === undefined) throw new ServerError('ROUTE_NOT_FOUND');
    const reply = readSwaggerFile(name).then((bytes) => fileReply(contentType, bytes));
    this.#replies.set(name, reply);
    // A failure is not kept: the file may be there next time.
    reply.catch(() => this.#replies.delete(name));
    return reply;
  }
}

async function readSwaggerFile(name: string): Promise<Uint8Array> {
  return readFile(createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`));
}

function fileReply(contentType: string, body: string | Uint8Array): Reply {
  return { status: 200, contentType, headers: cachedHeaders, body };
}

function pageReply(html: string): Reply {
  const headers = { ...safetyHeaders, 'content-security-policy': contentSecurityPolicy };
  return { status: 200, contentType: 'text/html; charset=utf-8', headers, body: html };
}

function indexPage(title: string, files: string, description: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="icon" type="image/png" href="${files}favicon-32x32.png">
<link rel="stylesheet" href="${files}swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The description itself: <a href="${description}">openapi.json</a></noscript>
<script src="${files}swagger-ui-bundle.js"></script>
<script src="${files}start.js" data-spec="${description}"></script>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}
