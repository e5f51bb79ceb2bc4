// The table of paths: which operations each has, what its parameters are, and whose error shape applies where there
// is none. Pure; knows no socket.
import { ServerError } from '../errors.ts';
import type { AnyOperation, Call, Reply } from '../operation.ts';
import { lastReply } from '../operation.ts';
import type { Cors } from './cors.ts';

export type ErrorShape = {
  /** Paths at and below it; the longest prefix wins. */
  readonly prefix: string;
  readonly encodeError: (error: ServerError, call: Call) => Reply;
};

export type Parameters = Readonly<Record<string, string>>;
/** `missing`: a wildcard with nothing in its place. `malformed`: no valid percent-encoding of text. */
export type PathMatch = Parameters | 'missing' | 'malformed';

const noParameters: Parameters = Object.freeze({});
// C0 and DEL: no name has them, and in a log or a file name they do harm. U+FFFD stands for bytes that are not UTF-8.
const unwanted = /[\u0000-\u001f\u007f\ufffd]/;

/** One path pattern. uWebSockets.js finds it; it then takes its parameters out of the undecoded path. */
export class Route {
  readonly path: string;
  readonly #operations = new Map<AnyOperation['method'], AnyOperation>();
  readonly #names: readonly { readonly name: string; readonly segment: number }[];

  constructor(path: string) {
    const segments = path.split('/');
    if (segments[0] !== '' || segments.slice(0, -1).includes('*')) throw new Error(`${path} is no path pattern.`);
    this.path = path;
    this.#names = segments.flatMap((text, segment) => {
      if (text === '*') return [{ name: '*', segment }];
      return text.startsWith(':') ? [{ name: text.slice(1), segment }] : [];
    });
  }

  get operations(): Iterable<AnyOperation> {
    return this.#operations.values();
  }

  add(operation: AnyOperation): void {
    const other = this.#operations.get(operation.method);
    if (other !== undefined) {
      throw new Error(`${operation.name} and ${other.name} both want ${operation.method} ${this.path}.`);
    }
    this.#operations.set(operation.method, operation);
  }

  /** The methods, as Allow lists them. */
  get allow(): string {
    const methods = [...this.#operations.keys()].flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    return [...methods, 'OPTIONS'].join(', ');
  }

  match(url: string): PathMatch {
    if (this.#names.length === 0) return noParameters;
    const segments = url.split('/');
    const parameters: Record<string, string> = {};
    for (const { name, segment } of this.#names) {
      const raw = name === '*' ? segments.slice(segment).join('/') : segments[segment];
      if (raw === undefined || raw === '') return 'missing';
      const value = decodeOnce(raw);
      if (value === undefined) return 'malformed';
      parameters[name] = value;
    }
    return parameters;
  }
}

/** Groups operations by path. Throws when two want the same method and path. */
export function routesOf(operations: readonly AnyOperation[]): Route[] {
  const routes = new Map<string, Route>();
  for (const operation of operations) {
    const route = routes.get(operation.path) ?? new Route(operation.path);
    routes.set(operation.path, route);
    route.add(operation);
  }
  return [...routes.values()];
}

type Shape = { readonly prefix: string; readonly notFound: AnyOperation; readonly notAllowed: AnyOperation };

/** Answers for the paths and methods that no operation has, each prefix in its own shape. */
export class Refusals {
  readonly #shapes: readonly Shape[];

  constructor(shapes: readonly ErrorShape[]) {
    const withLast = [...shapes, { prefix: '/', encodeError: lastReply }];
    this.#shapes = withLast
      .map(({ prefix, encodeError }) => ({
        prefix: prefix.replace(/\/+$/, ''),
        notFound: refusal('http.notFound', encodeError, () => new ServerError('ROUTE_NOT_FOUND')),
        notAllowed: refusal('http.notAllowed', encodeError, () => new ServerError('METHOD_NOT_ALLOWED')),
      }))
      .sort((one, other) => other.prefix.length - one.prefix.length);
  }

  notFound(url: string): AnyOperation {
    return this.#shapeOf(url).notFound;
  }

  notAllowed(url: string): AnyOperation {
    return this.#shapeOf(url).notAllowed;
  }

  #shapeOf(url: string): Shape {
    return this.#shapes.find(({ prefix }) => url === prefix || url.startsWith(`${prefix}/`)) ?? this.#shapes.at(-1)!;
  }
}

/** An operation that only refuses, so that refusals take the same way as everything else, observers included. */
function refusal(name: string, encodeError: ErrorShape['encodeError'], error: () => ServerError): AnyOperation {
  return {
    name,
    method: 'GET',
    path: '/*',
    summary: 'Refuses what no operation answers.',
    group: 'Server',
    scope: 'public',
    unlimited: true,
    decode: () => { throw error(); },
    run: () => undefined,
    encode: () => { throw error(); },
    encodeError,
  };
}

/** OPTIONS of one path: a browser's preflight, or a question which methods there are. */
export function optionsOf(allow: string, cors: Cors): AnyOperation {
  return {
    ...refusal('http.options', lastReply, () => new ServerError('INTERNAL')),
    decode: () => undefined,
    encode: (_output, call) => ({
      status: 204, contentType: '', headers: { allow, ...cors.preflightHeaders(call, allow) }, body: '',
    }),
  };
}

function decodeOnce(raw: string): string | undefined {
  try {
    const value = decodeURIComponent(raw);
    return unwanted.test(value) ? undefined : value;
  } catch {
    return undefined;
  }
}
