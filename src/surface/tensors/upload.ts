// Models from outside: POST /models/upload as a form, or as plain bytes; PUT /models/{version} as plain bytes.
import { ServerError } from '../../errors.ts';
import { uploadExtraBytesMax, uploadFieldBytesMax, uploadManifestBytesMax, uploadMsMax } from '../../limits.ts';
import type { AnyOperation, Call } from '../../operation.ts';
import type { Identity, ModelUploads, ReceiveModel, Uploaded, UploadFacts } from '../../registry/model-uploads.ts';
import { detailError } from '../detail-errors.ts';
import { tensorGroup } from '../history/operations.ts';
import { jsonReply } from '../json-reply.ts';
import { boundaryOf, partsOf, textOf, type Part } from '../multipart.ts';
import { modelRow } from './answers.ts';
import { PutQuery, UploadForm, UploadQuery, UploadResponse, rawModel } from './schema.ts';

export type Uploads = Pick<ModelUploads, 'upload' | 'checkIdentity' | 'bytesMax'>;

/** The part of a form that is the model; so is any other that has a file's name. */
const fileName = 'file';
const fieldNames = ['version', 'name', 'manifest', 'sha256'] as const;
type FieldName = (typeof fieldNames)[number];
type Fields = Map<FieldName, string>;

/** @param uploads undefined where they are not allowed: the operations are there and say so */
export function uploadOperations(uploads: Uploads | undefined): AnyOperation[] {
  const shared = {
    group: tensorGroup,
    scope: 'admin',
    responseSchema: UploadResponse,
    body: { kind: 'stream', bytesMax: () => (uploads?.bytesMax ?? Number.MAX_SAFE_INTEGER - uploadExtraBytesMax) + uploadExtraBytesMax },
    timeoutMs: uploadMsMax,
    decode: (_bytes: Uint8Array, call: Call) => mayUpload(uploads, call),
    encode: ({ entry, received }: Uploaded) => jsonReply(200, { ...modelRow(entry), sha256: received.sha256 }),
    encodeError: detailError,
  } as const;
  const post: AnyOperation = {
    ...shared,
    name: 'tensors.upload',
    method: 'POST',
    path: '/models/upload',
    summary: 'Take a new model: a form with the file and its version, name, manifest and sha256; or the file alone, with those in the query.',
    querySchema: UploadQuery,
    requestTypes: { 'multipart/form-data': UploadForm, 'application/octet-stream': rawModel },
    run(allowed: Uploads, call: Call) {
      const boundary = boundaryOf(call.header('content-type'));
      if (boundary === undefined) return uploadRaw(allowed, call, queryFields(call));
      return allowed.upload((receive) => readForm(boundary, call, receive), call.signal);
    },
  };
  const put: AnyOperation = {
    ...shared,
    name: 'tensors.put',
    method: 'PUT',
    path: '/models/:version',
    summary: 'Take a new model: the body is the file, the path its version or `name:version`; name, manifest and sha256 may stand in the query.',
    querySchema: PutQuery,
    requestTypes: { 'application/octet-stream': rawModel },
    run(allowed: Uploads, call: Call) {
      const fields = queryFields(call);
      const [first = '', ...others] = (call.parameters['version'] ?? '').split(':');
      if (others.length > 0) fields.set('name', first).set('version', others.join(':'));
      else fields.set('version', first);
      return uploadRaw(allowed, call, fields);
    },
  };
  return [post, put];
}

/** Throws UPLOAD_DISABLED, and FORBIDDEN for a page of another site: a browser sends its forms without asking. */
function mayUpload(uploads: Uploads | undefined, call: Call): Uploads {
  if (uploads === undefined) throw new ServerError('UPLOAD_DISABLED');
  const origin = call.header('origin');
  if (call.caller.name === 'anonymous' && origin !== '' && hostOf(origin) !== call.header('host').toLowerCase()) {
    throw new ServerError('FORBIDDEN', 'Without an API key, pages of other sites may not upload.');
  }
  return uploads;
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

function uploadRaw(uploads: Uploads, call: Call, fields: Fields): Promise<Uploaded> {
  const facts = factsOf(fields, digestOf(call.header('content-digest')));
  uploads.checkIdentity(facts);
  return uploads.upload(async (receive) => {
    await receive(call.body);
    return facts;
  }, call.signal);
}

async function readForm(boundary: string, call: Call, receive: ReceiveModel): Promise<UploadFacts> {
  const fields = queryFields(call);
  for await (const part of partsOf(call.body, boundary)) {
    const { name, filename } = part;
    if (isField(name)) {
      fields.set(name, await textOf(part, name === 'manifest' ? uploadManifestBytesMax : uploadFieldBytesMax));
    } else if (filename !== undefined || name === fileName) {
      checkFilename(part, filename ?? '');
      await receive(part.body);
    } else {
      const detail = `There is no field '${name.slice(0, 80)}'; there are file, ${fieldNames.join(', ')}.`;
      throw new ServerError('REQUEST_INVALID', detail, { field: name.slice(0, 80) });
    }
  }
  return factsOf(fields, undefined);
}

/** It is not used; one with a path in it is a client that expects it to be. */
function checkFilename({ name }: Part, filename: string): void {
  if (!/[/\\\0]/.test(filename)) return;
  throw new ServerError('REQUEST_INVALID', `The file name in '${name.slice(0, 80)}' must not have a path.`, { field: name.slice(0, 80) });
}

function queryFields(call: Call): Fields {
  return new Map(fieldNames.flatMap((name) => {
    const value = call.query.get(name);
    return value === null ? [] : [[name, value] as const];
  }));
}

function factsOf(fields: Fields, digest: string | undefined): UploadFacts {
  const version = fields.get('version');
  if (version === undefined) throw new ServerError('REQUEST_INVALID', "'version' is missing.", { field: 'version' });
  const sha256 = fields.get('sha256')?.trim() ?? digest;
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
    throw new ServerError('REQUEST_INVALID', "'sha256' must be 64 hex digits.", { field: 'sha256' });
  }
  const identity: Identity = { version, name: fields.get('name') || undefined };
  return { ...identity, manifest: fields.get('manifest') || undefined, sha256 };
}

/** In hex; of RFC 9530's `Content-Digest: sha-256=:…:`. Other algorithms are passed over. */
function digestOf(header: string): string | undefined {
  const [, encoded] = /(?:^|, *)sha-256=:([A-Za-z0-9+/=]*):/.exec(header) ?? [];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('hex');
}

function isField(name: string): name is FieldName {
  return (fieldNames as readonly string[]).includes(name);
}
