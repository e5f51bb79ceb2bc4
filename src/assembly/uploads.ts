// Uploads of tensor models: where they go, what bounds them, and what the log and the metrics hear of them.
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { ModelUploads } from '../registry/model-uploads.ts';
import type { Registry } from '../registry/registry.ts';
import { removeLeftovers } from '../registry/staging.ts';
import type { TensorModels } from '../registry/tensor-models.ts';

/** Where models are looked for first and uploads go: MODEL_DIR, else a folder in DATA_DIR. */
export function modelDirectoryOf(config: Config): string {
  return config.modelDirectory ?? join(config.dataDirectory, 'models');
}

/** Undefined where uploads are not allowed. Removes what a killed process left, in either case. */
export function openUploads(config: Config, models: TensorModels, registry: Registry, metrics: Metrics, log: Log): ModelUploads | undefined {
  const directory = modelDirectoryOf(config);
  void removeLeftovers(directory).then(
    (count) => count > 0 && log.warn({ count }, 'unfinished uploads of an earlier process removed'),
    (error: unknown) => log.warn({ err: error }, 'unfinished uploads cannot be removed'),
  );
  if (!config.allowUpload) return undefined;
  const uploads = metrics.uploads();
  return new ModelUploads({
    directory,
    bytesMax: config.uploadBytesMax,
    checkMemoryBytesMax: config.modelCheckBytesMax,
    checkMsMax: config.modelCheckMsMax,
    models,
    isTaken: (name) => registry.isTaken(name),
    observer: {
      published: ({ name, version }, { bytes, sha256 }) => {
        uploads.ended('published');
        log.info({ model: name, version, bytes, sha256 }, 'uploaded model published');
      },
      refused: (error) => {
        uploads.ended(error.code);
        if (error.cause === undefined) log.warn({ code: error.code, reason: error.message }, 'upload refused');
        else log.error({ code: error.code, err: error.cause }, 'upload failed');
      },
    },
  });
}
