// The Triton Inference Server whose models are served here, too.
import Type from 'typebox';
import { row, upTo } from '../option.ts';

const portMax = 65_535;

function hasPort(text: string): boolean {
  const port = Number(text.slice(text.lastIndexOf(':') + 1));
  return port >= 1 && port <= portMax;
}

export const tritonOptions = {
  tritonUrl: Type.Optional(Type.String({ pattern: '^(grpcs?://)?(\\[[0-9a-fA-F:.]+\\]|[^\\s/:\\[\\]]+):\\d{1,5}$', ...row({
    group: 'Triton', flag: 'triton-url', env: ['TRITON_URL'], allowed: 'host:port, or grpcs://host:port for TLS', isUsable: hasPort,
    help: 'gRPC address of a Triton Inference Server. Unset: none.' }) })),
  tritonModels: Type.Array(Type.String({ pattern: '^[\\w.-]{1,200}$' }), {
    minItems: 1, maxItems: 100, uniqueItems: true, default: ['prot_t5_pipeline'], ...row({
      group: 'Triton', flag: 'triton-model', env: ['TRITON_MODEL'], allowed: 'a comma list or a JSON list of model names',
      help: 'Models there that take one text and give one vector. The first one answers /embeddings/compute.' }) }),
  tritonConnections: upTo(64, 4, {
    group: 'Triton', flag: 'triton-connections', env: ['TRITON_CONNECTIONS'],
    help: 'Connections to it; as many batches run there at once.' }),
};
