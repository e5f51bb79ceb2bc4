// Bytes to a checked JSON body. Errors name the field as the client wrote it: `texts[3]`.
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { ServerError } from '../errors.ts';
import type { Call, Operation } from '../operation.ts';
import { parseJson, refusingDeepNesting } from '../operation/json-text.ts';

export { parseJson, refusingDeepNesting };

/** An operation whose body is JSON, and which can take it parsed. */
export type JsonOperation<In, Out> = Operation<In, Out> & { decodeBody(body: unknown, call: Call): In };

export function jsonOperation<In, Out>(operation: Omit<JsonOperation<In, Out>, 'decode'>): JsonOperation<In, Out> {
  return { ...operation, decode: (bytes, call) => operation.decodeBody(parseJson(bytes), call) };
}

/** Compiles once; the returned function throws REQUEST_INVALID naming the first field at fault. */
export function bodyChecker<Schema extends TSchema>(schema: Schema): (body: unknown) => Static<Schema> {
  const compiled = Compile(schema);
  return (body) => {
    if (compiled.Check(body)) return body as Static<Schema>;
    const errors = compiled.Errors(body);
    const error = errors[0];
    const missing = error?.params && 'requiredProperties' in error.params ? error.params.requiredProperties : undefined;
    const parent = fieldName(error?.instancePath ?? '');
    const field = Array.isArray(missing) ? [parent, String(missing[0])].filter(Boolean).join('.') : parent;
    const reason = Array.isArray(missing) ? 'is missing' : reasonOf(errors);
    throw new ServerError('REQUEST_INVALID', `${field === '' ? 'The body' : `'${field}'`} ${reason}.`, {
      ...(field !== '' && { field }),
    });
  };
}

/** In the words of the schema; a union of constants is told one constant at a time. */
function reasonOf(errors: readonly TLocalizedValidationError[]): string {
  const [first] = errors;
  if (first?.keyword !== 'const') return first?.message ?? 'is invalid';
  const allowed = errors.flatMap((error) => (error.keyword === 'const' && error.instancePath === first.instancePath ? [JSON.stringify(error.params.allowedValue)] : []));
  return allowed.length === 1 ? `must be ${allowed[0]}` : `must be one of ${allowed.join(', ')}`;
}

/** `/texts/3` of a JSON pointer as `texts[3]`. */
function fieldName(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : path === '' ? part : `${path}.${part}`), '');
}
