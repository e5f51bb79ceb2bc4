// What an embedding model is by its contents: the same for copies of a folder, another for another revision.
// Parts of files are hashed in the thread pool, so that neither reading nor hashing holds up the event loop.
import { createHash, webcrypto } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { EmbeddingManifest } from '../backend/manifest.ts';
import { onnxWeightFiles } from './onnx-file.ts';

const partBytes = 4 * 1024 * 1024;

/**
 * SHA-256 in base64url over the graph with its weights, the tokenizer, the modules, and what the manifest says of
 * pooling and lengths. Rejects with what the file system says.
 */
export async function modelIdentity(manifest: EmbeddingManifest): Promise<string> {
  const { modules, inputTokensMax, padTokenId, lowerCase, batchable } = manifest;
  const hash = createHash('sha256');
  hash.update(JSON.stringify({ modules: modules.map(withoutPath), inputTokensMax, padTokenId, lowerCase, batchable }));
  for (const [role, file] of filesOf(manifest)) {
    hash.update(`\n${role}\n`);
    await hashFile(file, (digest) => hash.update(digest));
  }
  return hash.digest('base64url');
}

/** Where a module lies is not what it is; its contents are hashed. */
function withoutPath(module: EmbeddingManifest['modules'][number]): object {
  return module.kind === 'dense' ? { ...module, weightsFile: '' } : module;
}

function filesOf(manifest: EmbeddingManifest): (readonly [role: string, file: string])[] {
  const { onnxFile, tokenizerFile, tokenizerConfigFile, modules } = manifest;
  const dense = modules.flatMap((module) => (module.kind === 'dense' ? [module.weightsFile] : []));
  return [
    ['graph', onnxFile],
    ...onnxWeightFiles(onnxFile).map((file) => ['weights', file] as const),
    ['tokenizer', tokenizerFile],
    ...(tokenizerConfigFile === undefined ? [] : [['tokenizer config', tokenizerConfigFile] as const]),
    ...dense.map((file) => ['dense', file] as const),
  ];
}

async function hashFile(file: string, take: (digest: Uint8Array) => void): Promise<void> {
  const handle = await open(file);
  try {
    const buffer = new Uint8Array(partBytes);
    for (let isWhole = true; isWhole; ) {
      // Parts must be the same wherever the file lies, and a network's file system may read less at once.
      let filled = 0;
      for (let bytesRead = 1; bytesRead > 0 && filled < partBytes; filled += bytesRead) {
        ({ bytesRead } = await handle.read(buffer, filled, partBytes - filled));
      }
      isWhole = filled === partBytes;
      take(new Uint8Array(await webcrypto.subtle.digest('SHA-256', buffer.subarray(0, filled))));
    }
  } finally {
    await handle.close();
  }
}
