// A tensor model that answers: its table of inputs and outputs, and what computes it.
import type { TensorBackend } from '../backend/tensor-backend.ts';
import { openTensorBackend, type TensorOnnxOptions } from '../backend/tensor-onnx.ts';
import { TensorBatcher } from '../batch/tensor-batcher.ts';
import type { TensorFiles } from './tensor-folder.ts';
import { readTensorManifest, tensorTable, type TensorManifest, type TensorTable } from './tensor-manifest.ts';

export type TensorModel = {
  readonly files: TensorFiles;
  readonly manifest: TensorManifest;
  readonly table: TensorTable;
  readonly backend: TensorBackend;
};

/** What the manifest does not say. `intraOpThreads` serves models that name no threads. */
export type TensorModelOptions = Omit<TensorOnnxOptions, 'instances'>;

/**
 * Reads the manifest, opens the graph, and checks each against the other. Rejects with ManifestError or
 * ServerError, and leaves no thread behind.
 * @param onCrash told when a worker dies between runs; another one takes its place.
 */
export async function openTensorModel(
  files: TensorFiles,
  options: TensorModelOptions,
  onCrash: (error: Error) => void,
): Promise<TensorModel> {
  const manifest = readTensorManifest(files);
  const intraOpThreads = manifest.threads ?? options.intraOpThreads;
  const backend = await openTensorBackend(
    files.onnxFile,
    { ...options, intraOpThreads, instances: manifest.instances },
    onCrash,
  );
  try {
    const table = tensorTable(files, manifest, backend.description);
    const { batching } = manifest;
    return { files, manifest, table, backend: batching === undefined ? backend : new TensorBatcher(backend, batching) };
  } catch (error) {
    await backend.close();
    throw error;
  }
}
