// Where the definition of the inference protocol lies, for the server of it here and the client of Triton's.
import { fileURLToPath } from 'node:url';
import { loadSync, type Options, type PackageDefinition } from '@grpc/proto-loader';

export const serviceName = 'inference.GRPCInferenceService';

/** The definitions lie in the package as sources: what reads them needs no compiler. */
const directory = fileURLToPath(new URL('../../../src/proto/', import.meta.url));

/** Fields under their own names, enums by name; `options` say the rest. */
export function loadInferenceProtocol(options: Options): PackageDefinition {
  return loadSync('inference.proto', { includeDirs: [directory], keepCase: true, enums: String, ...options });
}
