// GET /models/{version}/download: the ONNX file as it lies on the disk, or a range of it.
import { open } from 'node:fs/promises';
import { ServerError } from '../../errors.ts';
import type { Operation, Reply } from '../../operation.ts';
import { FileHashes, fileState, stateOf, type FileState } from '../../registry/file-hash.ts';
import type { TensorFiles } from '../../registry/tensor-folder.ts';
import { byteRangeOf, hasTag, isSameFile, type ByteRange } from '../byte-range.ts';
import { detailError } from '../detail-errors.ts';
import { tensorGroup } from '../history/operations.ts';
import type { TensorRegistry } from './lifecycle.ts';

const chunkBytes = 256 * 1024;
const onnxType = 'application/octet-stream';

type Found = { readonly files: TensorFiles; readonly state: FileState; readonly sha256: string };

export function downloadOperation(models: Pick<TensorRegistry, 'find'>): Operation<undefined, Found> {
  const hashes = new FileHashes();
  return {
    name: 'tensors.download',
    method: 'GET',
    path: '/models/:version/download',
    summary: "A model's ONNX file. Takes Range, If-Range and If-None-Match; the ETag is the file's SHA-256.",
    group: tensorGroup,
    scope: 'infer',
    binaryTypes: [onnxType],
    otherStatuses: { 206: 'The range that was asked for.', 304: 'The client has it.' },
    decode: () => undefined,
    async run(_input, call) {
      const { files } = models.find(call.parameters['version'] ?? '', 'version');
      try {
        const state = await fileState(files.onnxFile);
        return { files, state, sha256: await hashes.of(files.onnxFile, state) };
      } catch (cause) {
        throw new ServerError('MODEL_NOT_FOUND', 'The file of that model is gone.', { field: 'version', cause });
      }
    },
    encode(found, call) {
      const tag = `"${found.sha256}"`;
      const headers = {
        etag: tag,
        'accept-ranges': 'bytes',
        'last-modified': new Date(found.state.modifiedMs).toUTCString(),
        'cache-control': 'no-cache',
      };
      const known = call.header('if-none-match');
      if (known !== '' && hasTag(known, tag)) return { status: 304, contentType: '', headers, body: '' };
      const isSame = isSameFile(call.header('if-range'), tag, found.state.modifiedMs);
      const range = isSame ? byteRangeOf(call.header('range'), found.state.bytes) : undefined;
      return range === 'unsatisfiable' ? unsatisfiable(found) : fileReply(found, range, headers);
    },
    encodeError: detailError,
  };
}

function fileReply({ files, state }: Found, range: ByteRange | undefined, headers: Record<string, string>): Reply {
  const { first, last } = range ?? { first: 0, last: state.bytes - 1 };
  const { name, version } = files;
  return {
    status: range === undefined ? 200 : 206,
    contentType: onnxType,
    headers: {
      ...headers,
      ...(range && { 'content-range': `bytes ${first}-${last}/${state.bytes}` }),
      'content-disposition': `attachment; filename="${name === version ? name : `${name}-${version}`}.onnx"`,
    },
    body: { chunks: chunksOf(files.onnxFile, state, first, last), lengthBytes: last - first + 1 },
  };
}

/** Throws before the first byte when the file is another one by now: parts of two would be neither. */
async function* chunksOf(file: string, state: FileState, first: number, last: number): AsyncGenerator<Uint8Array, void> {
  const handle = await open(file, 'r');
  try {
    if (stateOf(await handle.stat()).identity !== state.identity) throw new Error('The file has changed.');
    for (let at = first; at <= last; ) {
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, last - at + 1));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) throw new Error('The file has become shorter.');
      at += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

function unsatisfiable({ state }: Found): Reply {
  const error = new ServerError('RANGE_UNSATISFIABLE', `The file has ${state.bytes} bytes.`, { field: 'range' });
  return { ...detailError(error), headers: { 'content-range': `bytes */${state.bytes}` } };
}
