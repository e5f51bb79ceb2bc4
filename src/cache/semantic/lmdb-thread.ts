// Thread entry of the semantic cache's embedded file: one request after the other.
import { workerData } from 'node:worker_threads';
import { answerThread } from '../../storage/asked-thread.ts';
import { LmdbFile, type FileChange } from './lmdb-file.ts';

export type FileRequest =
  | { readonly kind: 'open' }
  | { readonly kind: 'write'; readonly changes: readonly FileChange[] }
  | { readonly kind: 'read'; readonly after: string; readonly bytesMax: number }
  | { readonly kind: 'lessons' }
  | { readonly kind: 'close' };

const { directory } = workerData as { readonly directory: string };
let file: LmdbFile | undefined;

answerThread<FileRequest>(async (request) => {
  if (request.kind === 'open') {
    file ??= await LmdbFile.open(directory);
    return file.movedTo;
  }
  if (file === undefined) throw new Error('The file of the semantic cache is not open.');
  if (request.kind === 'write') return file.write(request.changes);
  if (request.kind === 'read') return file.read(request.after, request.bytesMax);
  if (request.kind === 'lessons') return file.lessons();
  const closing = file;
  file = undefined;
  return closing.close();
});
