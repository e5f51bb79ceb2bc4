// A small Hugging Face hub on loopback: the API, file addresses, and a content network on a port of its own
// to which large files are redirected. Faults are asked for per request.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { TestContext } from 'node:test';

export type Files = Readonly<Record<string, Buffer>>;

export type Seen = {
  readonly at: 'api' | 'file' | 'cdn';
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
};

/** What goes wrong with one answer. `bytes` are counted from where the answer starts. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  | { readonly kind: 'cut'; readonly bytes: number }
  | { readonly kind: 'stall'; readonly bytes: number }
  | { readonly kind: 'corrupt' }
  | { readonly kind: 'slow'; readonly bytes: number; readonly everyMs: number }
  | { readonly kind: 'whole' }
  | { readonly kind: 'vanish' };

export type Repo = {
  readonly files: Files;
  readonly commit?: string;
  /** Needs this token, as private and gated repositories do. */
  readonly token?: string;
  readonly gated?: boolean;
  /** Lists names only, as some mirrors do. */
  readonly namesOnly?: boolean;
};

export const commitOfTests = 'c0ffee00'.repeat(5);
/** Files from here on are "large": stored by sha256 on the content network. */
const largeBytes = 16_384;

export class HubServer {
  readonly seen: Seen[] = [];
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  /** What the listing says, when a test wants another. */
  listing: (listing: Record<string, unknown>) => unknown = (listing) => listing;
  readonly #repos = new Map<string, Repo>();
  readonly #servers: Server[] = [];

  static async start(t: Pick<TestContext, 'after'>, repos: Readonly<Record<string, Repo>> = {}): Promise<HubServer> {
    const hub = new HubServer();
    for (const [id, repo] of Object.entries(repos)) hub.put(id, repo);
    await hub.#listen((request, response) => hub.#answerHub(request, response));
    await hub.#listen((request, response) => hub.#answerNetwork(request, response));
    t.after(() => hub.stop());
    return hub;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#servers[0]!.address() as AddressInfo).port}`;
  }

  put(id: string, repo: Repo): void {
    this.#repos.set(id, repo);
  }

  /** Requests for file contents, by file name. */
  downloads(name: string): readonly Seen[] {
    return this.seen.filter(({ at, method, path: where }) => at !== 'api' && method === 'GET' && where.endsWith(name));
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) server.closeAllConnections();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  async #listen(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<void> {
    const server = createServer(handler);
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  }

  /** Notes the request; a fault that is an answer by itself happens here. */
  #see(at: Seen['at'], request: IncomingMessage, response: ServerResponse): Fault | 'answered' | undefined {
    const { authorization, range } = request.headers;
    const seen = { at, method: request.method!, path: decodeURIComponent(request.url!), authorization, range };
    this.seen.push(seen);
    const fault = this.fault(seen);
    if (fault?.kind === 'vanish') request.socket.destroy();
    else if (fault?.kind === 'status') response.writeHead(fault.status, fault.headers).end();
    else return fault;
    return 'answered';
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^?]+)/.exec(request.url!);
    const fault = this.#see(api ? 'api' : 'file', request, response);
    if (fault === 'answered') return;
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(request.url!);
    const id = (api ?? file)?.[1] ?? '';
    const repo = this.#repos.get(id);
    const token = request.headers.authorization?.slice('Bearer '.length);
    const refuse = (status: number, code: string) => response.writeHead(status, { 'x-error-code': code }).end();
    if (repo === undefined) return void refuse(token === undefined ? 401 : 404, 'RepoNotFound');
    const mayRead = repo.token === undefined || repo.token === token;
    if (!mayRead && repo.gated !== true) return void refuse(401, 'RepoNotFound');
    const commit = repo.commit ?? commitOfTests;
    const revision = decodeURIComponent((api ?? file)![2]!);
    if (![commit, 'main', 'refs/pr/1'].includes(revision)) return void refuse(404, 'RevisionNotFound');
    if (api !== null) return this.#answerListing(response, id, repo, commit, fault);
    if (!mayRead) return void refuse(token === undefined ? 401 : 403, 'GatedRepo');
    const name = decodeURIComponent(file![3]!);
    const content = repo.files[name];
    if (content === undefined) return void refuse(404, 'EntryNotFound');
    response.setHeader('x-repo-commit', commit);
    if (content.length < largeBytes) {
      response.setHeader('etag', `"${gitHash(content)}"`);
      return sendContent(request, response, content, fault);
    }
    const { port } = this.#servers[1]!.address() as AddressInfo;
    const location = `http://localhost:${port}/${id}/${name}?signature=s3cret`;
    response.writeHead(302, {
      location, 'x-linked-etag': `"${sha256(content)}"`, 'x-linked-size': String(content.length),
    }).end();
  }

  #answerListing(response: ServerResponse, id: string, repo: Repo, commit: string, fault: Fault | undefined): void {
    const siblings = Object.entries(repo.files).map(([rfilename, content]) => {
      if (repo.namesOnly === true) return { rfilename };
      const file = { rfilename, size: content.length, blobId: gitHash(content) };
      if (content.length < largeBytes) return file;
      return { ...file, lfs: { sha256: sha256(content), size: content.length, pointerSize: 134 } };
    });
    const listing = { _id: '621ffdc136468d709f180294', id, sha: commit, private: false, gated: false, siblings };
    const text = Buffer.from(JSON.stringify(this.listing(listing)));
    response.setHeader('content-type', 'application/json; charset=utf-8');
    sendContent({ headers: {}, method: 'GET' }, response, text, fault);
  }

  #answerNetwork(request: IncomingMessage, response: ServerResponse): void {
    const fault = this.#see('cdn', request, response);
    if (fault === 'answered') return;
    const match = /^\/([^/]+\/[^/]+)\/([^?]+)/.exec(decodeURIComponent(request.url!));
    sendContent(request, response, this.#repos.get(match![1]!)!.files[match![2]!]!, fault);
  }
}

type Asked = { readonly headers: { readonly range?: string | undefined }; readonly method?: string | undefined };

function sendContent(request: Asked, response: ServerResponse, content: Buffer, fault: Fault | undefined): void {
  const asked = fault?.kind === 'whole' ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const start = Number(asked ?? 0);
  const body = Buffer.from(content.subarray(start));
  if (fault?.kind === 'corrupt') body[body.length >> 1]! ^= 1;
  response.setHeader('content-length', body.length);
  const range = `bytes ${start}-${content.length - 1}/${content.length}`;
  if (asked !== undefined) response.setHeader('content-range', range);
  response.writeHead(asked === undefined ? 200 : 206);
  if (request.method === 'HEAD') return void response.end();
  // A reset overtakes what was sent before it; this cut shall come after.
  const cut = () => setTimeout(() => response.destroy(), 20);
  if (fault?.kind === 'cut') return void response.write(body.subarray(0, fault.bytes), cut);
  if (fault?.kind === 'stall') return void response.write(body.subarray(0, fault.bytes));
  if (fault?.kind !== 'slow') return void response.end(body);
  let at = 0;
  const timer = setInterval(() => {
    response.write(body.subarray(at, at + fault.bytes));
    at += fault.bytes;
    if (at < body.length && !response.destroyed) return;
    clearInterval(timer);
    response.end();
  }, fault.everyMs);
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

export function gitHash(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

/** The files of a folder as a repository has them. */
export function filesOf(folder: string): Files {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(names.map((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    return [path.relative(folder, file).split(path.sep).join('/'), readFileSync(file)];
  }));
}
