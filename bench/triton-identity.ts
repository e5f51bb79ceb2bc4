// A real Triton Inference Server with a model that gives a tensor back, through its Python backend.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { copyOfTriton, skipUnlessTriton, startTritonServer, type TritonServer } from '../test/support/triton-server.ts';

const configuration = `name: "identity_float32"
backend: "python"
max_batch_size: 0
input [ { name: "input" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "output" data_type: TYPE_FP32 dims: [ -1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
`;

const program = `import os, sys
sys.path.insert(0, os.environ["TRITON_SITE"])
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "input").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("output", values)]) for values in inputs]
`;

export type TritonIdentity = { readonly server: TritonServer | undefined; readonly reason: string; stop(): Promise<void> };

/** Where there is no Triton, `reason` says so. */
export async function startTritonIdentity(): Promise<TritonIdentity> {
  const missing = skipUnlessTriton();
  if (missing !== false) return { server: undefined, reason: missing, stop: async () => {} };
  const ends: (() => void | Promise<void>)[] = [];
  const after = (end: () => void | Promise<void>): void => void ends.unshift(end);
  const directory = copyOfTriton({ after });
  const model = path.join(directory, 'model-repository/identity_float32');
  mkdirSync(path.join(model, '1'), { recursive: true });
  writeFileSync(path.join(model, 'config.pbtxt'), configuration);
  writeFileSync(path.join(model, '1/model.py'), program);
  const server = await startTritonServer({ after }, {}, directory);
  return { server, reason: '', stop: async () => { for (const end of ends) await end(); } };
}
