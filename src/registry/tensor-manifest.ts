// What a tensor model is: its manifest.json, or what the graph itself tells, joined into one table of inputs and
// outputs.
// Invariant: a manifest that does not fit its graph is refused at load, so no request finds out.
import Type, { type Static, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TensorDescription, TensorInfo } from '../backend/tensor-protocol.ts';
import type { BatchPolicy } from '../batch/tensor-batch.ts';
import { ServerError } from '../errors.ts';
import { tensorBatchRowsMax } from '../limits.ts';
import { dataTypes, type DataType, type Tensor } from '../tensor/dtypes.ts';
import { readFlat, readNested } from '../tensor/nested.ts';
import { checkShape, shapeText, type Dimension } from '../tensor/shapes.ts';
import { ManifestError, readJson } from './json-file.ts';
import type { TensorFiles } from './tensor-folder.ts';

const closed = { additionalProperties: false };
const ShapeSchema = Type.Array(Type.Union([Type.Integer({ minimum: -1 }), Type.String({ minLength: 1 })]), {
  maxItems: 8,
});
const DataTypeSchema = Type.Union(dataTypes.map((name) => Type.Literal(name)));
const NameSchema = Type.String({ minLength: 1, maxLength: 256 });

const RowsSchema = Type.Integer({ minimum: 1, maximum: tensorBatchRowsMax });
const BatchingSchema = Type.Object(
  {
    rowsMax: RowsSchema,
    preferredRows: Type.Optional(Type.Array(RowsSchema, { maxItems: 64 })),
    queueDelayMs: Type.Optional(Type.Number({ minimum: 0, maximum: 60_000 })),
    priorityLevels: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    defaultPriority: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  },
  { ...closed, description: 'Lets requests share a run along the first dimension of all inputs and outputs.' },
);

const TensorManifestSchema = Type.Object(
  {
    description: Type.Optional(Type.String()),
    instances: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'Worker threads; each has its own session.' }),
    ),
    threads: Type.Optional(Type.Integer({ minimum: 1, maximum: 256, description: 'Cores that one run may use.' })),
    batching: Type.Optional(BatchingSchema),
    inputs: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: NameSchema,
            field: Type.Optional(NameSchema),
            datatype: Type.Optional(DataTypeSchema),
            shape: Type.Optional(ShapeSchema),
            default: Type.Optional(
              Type.Unknown({ description: 'Makes the input optional: a nested list, or {shape, data}.' }),
            ),
            range: Type.Optional(Type.Array(Type.Number(), { minItems: 2, maxItems: 2 })),
          },
          closed,
        ),
      ),
    ),
    outputs: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: NameSchema,
            field: Type.Optional(NameSchema),
            when: Type.Optional(NameSchema),
            metric: Type.Optional(
              Type.Object(
                {
                  as: Type.Optional(NameSchema),
                  better: Type.Optional(Type.Union([Type.Literal('higher'), Type.Literal('lower')])),
                },
                closed,
              ),
            ),
          },
          closed,
        ),
        { minItems: 1 },
      ),
    ),
  },
  closed,
);

type Written = Static<typeof TensorManifestSchema>;

export type TensorInput = {
  /** The graph's name, and the request's field. */
  readonly name: string;
  readonly field: string;
  readonly datatype: DataType;
  /** Undefined takes any: the graph tells nothing. */
  readonly shape: readonly Dimension[] | undefined;
  /** What an absent input is; undefined for one that must be given. Copied for each run. Need not fit `shape`. */
  readonly default: Tensor | undefined;
  readonly range: readonly [least: number, most: number] | undefined;
};

export type TensorMetric = {
  /** The name by which a comparison may ask for it, besides the field. */
  readonly as: string | undefined;
  readonly better: 'higher' | 'lower' | undefined;
};

export type TensorOutput = {
  readonly name: string;
  /** The answer's field. */
  readonly field: string;
  readonly datatype: DataType;
  readonly shape: readonly Dimension[];
  /** The request's field that must be true for it to be answered; undefined always answers. */
  readonly when: string | undefined;
  /** A single number about the run. */
  readonly metric: TensorMetric | undefined;
};

export type TensorManifest = {
  readonly description: string | undefined;
  readonly instances: number;
  readonly threads: number | undefined;
  /** Undefined: each request runs alone. */
  readonly batching: BatchPolicy | undefined;
  /** As written; undefined where the graph is to be asked. */
  readonly inputs: Written['inputs'];
  readonly outputs: Written['outputs'];
};

/** The table of a loaded model. */
export type TensorTable = { readonly inputs: readonly TensorInput[]; readonly outputs: readonly TensorOutput[] };

const reservedFields: Readonly<Record<'inputs' | 'outputs', readonly string[]>> = {
  inputs: ['version', 'return_metrics'],
  outputs: ['version', 'metrics', 'inference_time_ms', 'timestamp', 'error'],
};

const compiled = Compile(TensorManifestSchema);

/** Throws ManifestError naming the field at fault; its text names the file by model and version, not by path. */
export function readTensorManifest(files: TensorFiles): TensorManifest {
  const written = readWritten(files);
  if (!compiled.Check(written)) throw new ManifestError(`${manifestName(files)}: ${firstFault(compiled, written)}`);
  return {
    description: written.description,
    instances: written.instances ?? 1,
    threads: written.threads,
    batching: written.batching && batchPolicy(files, written.batching),
    inputs: written.inputs,
    outputs: written.outputs,
  };
}

function batchPolicy(files: TensorFiles, written: NonNullable<Written['batching']>): BatchPolicy {
  const { rowsMax, preferredRows = [], queueDelayMs = 0, priorityLevels = 1 } = written;
  const { defaultPriority = Math.ceil(priorityLevels / 2) } = written;
  const refuse = (field: string, reason: string): never => {
    throw new ManifestError(`${manifestName(files)}: batching.${field} ${reason}.`);
  };
  if (preferredRows.some((rows) => rows > rowsMax)) refuse('preferredRows', 'exceeds rowsMax');
  if (defaultPriority > priorityLevels) refuse('defaultPriority', 'exceeds priorityLevels');
  return { rowsMax, preferredRows, queueDelayMs, priorityLevels, defaultPriority };
}

/** Rows of different requests can only be told apart where every tensor's first size is free. */
function checkBatching({ inputs, outputs }: TensorTable, refuse: (field: string, reason: string) => never): void {
  for (const [kind, entries] of [['inputs', inputs], ['outputs', outputs]] as const) {
    const i = entries.findIndex(({ shape }) => shape === undefined || shape.length === 0 || fixedSize(shape[0]) !== undefined);
    if (i >= 0) refuse('batching', `is not possible: the first size of ${kind}[${i}] is not free`);
  }
  const i = inputs.findIndex((input) => input.default !== undefined);
  if (i >= 0) refuse('batching', `is not possible: inputs[${i}] has a default`);
}

function readWritten(files: TensorFiles): unknown {
  if (files.manifestFile === undefined) return {};
  try {
    return readJson(files.manifestFile) ?? {};
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new ManifestError(error.message.replaceAll(files.manifestFile, manifestName(files)));
  }
}

/** Joins what is written with what the graph declares. Throws ManifestError where they contradict each other. */
export function tensorTable(files: TensorFiles, manifest: TensorManifest, graph: TensorDescription): TensorTable {
  const refuse = (field: string, reason: string): never => {
    throw new ManifestError(`${manifestName(files)}: ${field} ${reason}.`);
  };
  const inputs = (manifest.inputs ?? graph.inputs.map(({ name }) => ({ name }))).map((written, i) => {
    const field = `inputs[${i}]`;
    const info = graph.inputs.find(({ name }) => name === written.name);
    if (info === undefined) return refuse(`${field}.name`, `is '${written.name}', which the graph does not have`);
    return tensorInput(written, info, field, refuse);
  });
  const again = inputs.findIndex(({ name }, i) => inputs.findIndex((input) => input.name === name) !== i);
  if (again >= 0) refuse(`inputs[${again}].name`, `is '${inputs[again]!.name}' a second time`);
  const missing = graph.inputs.find(({ name }) => !inputs.some((input) => input.name === name));
  if (missing !== undefined) refuse('inputs', `lack '${missing.name}', which the graph needs`);
  const writtenOutputs: NonNullable<Written['outputs']> =
    manifest.outputs ?? graph.outputs.map(({ name }) => ({ name }));
  const outputs = writtenOutputs.map((written, i): TensorOutput => {
    const info = graph.outputs.find(({ name }) => name === written.name);
    if (info === undefined) return refuse(`outputs[${i}].name`, `is '${written.name}', which the graph does not have`);
    if (written.metric !== undefined && info.datatype === 'string') refuse(`outputs[${i}].metric`, 'is not a number');
    const { as, better } = written.metric ?? {};
    const metric = written.metric && { as, better };
    return { ...info, field: written.field ?? written.name, when: written.when, metric };
  });
  for (const [kind, entries] of [
    ['inputs', inputs],
    ['outputs', outputs],
  ] as const) {
    const fields = entries.map(({ field }) => field);
    const reserved = fields.find((field) => reservedFields[kind].includes(field));
    if (reserved !== undefined) refuse(kind, `have the field '${reserved}', which has a meaning; give another 'field'`);
    const twice = fields.findIndex((field, i) => fields.indexOf(field) !== i);
    if (twice >= 0) refuse(`${kind}[${twice}]`, `has the field '${fields[twice]}' of another one`);
  }
  if (manifest.batching !== undefined) checkBatching({ inputs, outputs }, refuse);
  return { inputs, outputs };
}

function tensorInput(
  written: NonNullable<Written['inputs']>[number],
  info: TensorInfo,
  field: string,
  refuse: (field: string, reason: string) => never,
): TensorInput {
  if (written.datatype !== undefined && written.datatype !== info.datatype) {
    refuse(`${field}.datatype`, `is ${written.datatype}, and the graph's is ${info.datatype}`);
  }
  // Of a graph that tells no shape the metadata says [], as of one whose input is a single value.
  const told = info.shape.length > 0 ? info.shape : undefined;
  if (written.shape !== undefined && told !== undefined) {
    // Equal where both fix a size; where one leaves it open, anything goes.
    const sameSize = (a: Dimension, b: Dimension) => (fixedSize(a) ?? fixedSize(b)) === (fixedSize(b) ?? fixedSize(a));
    const fits = written.shape.length === told.length && written.shape.every((size, i) => sameSize(size, told[i]!));
    if (!fits) refuse(`${field}.shape`, `is ${shapeText(written.shape)}, and the graph's is ${shapeText(told)}`);
  }
  const [least, most] = written.range ?? [];
  if (least !== undefined && most !== undefined && least > most) refuse(`${field}.range`, 'ends before it begins');
  return {
    name: info.name,
    field: written.field ?? info.name,
    datatype: info.datatype,
    shape: written.shape === undefined ? told : written.shape.map((size, i) => fixedSize(told?.[i]) ?? size),
    default:
      written.default === undefined
        ? undefined
        : defaultTensor(written.default, info.datatype, `${field}.default`, refuse),
    range: least === undefined || most === undefined ? undefined : [least, most],
  };
}

/** A size that the graph fixes holds whatever the manifest leaves open. */
function fixedSize(size: Dimension | undefined): number | undefined {
  return typeof size === 'number' && size >= 0 ? size : undefined;
}

function defaultTensor(
  written: unknown,
  datatype: DataType,
  field: string,
  refuse: (field: string, reason: string) => never,
): Tensor {
  try {
    const isPacked = typeof written === 'object' && written !== null && !Array.isArray(written);
    if (!isPacked) return readNested(written, datatype, field);
    const { shape, data } = written as { shape?: unknown; data?: unknown };
    if (!Array.isArray(data)) return refuse(field, 'has no list of data');
    return readFlat(data, checkShape(shape, `${field}.shape`), datatype, `${field}.data`);
  } catch (error) {
    if (error instanceof ServerError) return refuse(field, `makes no tensor: ${error.message.replace(/\.$/, '')}`);
    throw error;
  }
}

function manifestName({ name, version, manifestFile }: TensorFiles): string {
  return manifestFile === undefined ? `${name} ${version}` : `${name}/${version}/manifest.json`;
}

/** `inputs[2].datatype must be …`, of the error that is deepest: those above only say that a part is wrong. */
function firstFault(schema: ReturnType<typeof Compile<TSchema>>, value: unknown): string {
  const depth = (path: string): number => path.split('/').length;
  const errors = schema.Errors(value);
  const error = errors.reduce((deepest, each) =>
    depth(each.instancePath) > depth(deepest.instancePath) ? each : deepest,
  );
  const parent = error.instancePath
    .slice(1)
    .replaceAll('/', '.')
    .replace(/\.(\d+)/g, '[$1]');
  const missing = error.keyword === 'required' ? String(error.params.requiredProperties[0]) : undefined;
  if (missing !== undefined) return `${parent === '' ? missing : `${parent}.${missing}`} is missing.`;
  // Where the schema is closed, a key beyond it has the schema `false`.
  if (error.keyword === 'boolean') return `${parent} is not known.`;
  return `${parent === '' ? 'the manifest' : parent} ${error.message}.`;
}
