// Answers of the shared paths, for the API description.
import Type from 'typebox';

const state = Type.String({ description: 'absent, loading, ready, draining, failed or stuck' });
const error = Type.Optional(Type.String({ description: 'Why its last load failed.' }));

const ModelHealth = Type.Object(
  {
    name: Type.String(),
    state,
    error,
    queued_inputs: Type.Integer(),
    queued_tokens: Type.Integer(),
    running_batches: Type.Integer(),
  },
  { additionalProperties: true },
);

export const HealthResponse = Type.Object({
  status: Type.Union([Type.Literal('healthy'), Type.Literal('degraded'), Type.Literal('unhealthy')]),
  timestamp: Type.Number({ description: 'Seconds since 1970.' }),
  version: Type.String(),
  uptime_seconds: Type.Number(),
  failed: Type.Array(Type.String(), { description: 'Models that cannot be had; they are tried again on request.' }),
  models: Type.Array(ModelHealth),
  stuck: Type.Optional(Type.Array(Type.String(), { description: 'Models that do not come back from a run; the process is about to be replaced.' })),
  tensor_models: Type.Array(Type.Object({ name: Type.String(), version: Type.String(), state, error })),
  model_cache: Type.Object({
    loaded: Type.Integer(),
    max: Type.Integer(),
    evictions: Type.Integer(),
    idle_seconds_max: Type.Number({ description: '0 keeps idle models.' }),
  }),
  memory: Type.Object({ rss_bytes: Type.Integer() }),
});

export const RootResponse = Type.Object({
  name: Type.String(),
  service: Type.String(),
  version: Type.String(),
  status: Type.String(),
  documentation: Type.String(),
  openapi: Type.String(),
  health: Type.String(),
  models: Type.String(),
  metrics: Type.String(),
});

export const LiveResponse = Type.Object({ status: Type.Literal('alive') });

export const StatsResponse = Type.Object({
  uptime_seconds: Type.Number(),
  total_requests: Type.Integer(),
  total_errors: Type.Integer(),
  total_embeddings: Type.Integer(),
  models: Type.Array(Type.Object({ ...ModelHealth.properties, embeddings: Type.Integer() }, { additionalProperties: true })),
});

export const MetricsResponse = Type.Object({
  total_requests: Type.Integer(),
  total_embeddings: Type.Integer(),
  total_errors: Type.Integer(),
  uptime_seconds: Type.Number(),
  model_usage: Type.Record(Type.String(), Type.Integer(), { description: 'Embeddings by model.' }),
});

export const ReadyResponse = Type.Object({
  status: Type.Union(['ready', 'loading', 'failed', 'stuck', 'draining'].map((each) => Type.Literal(each))),
  waiting: Type.Optional(Type.Array(Type.String(), { description: 'Models that do not answer yet.' })),
  models: Type.Optional(Type.Array(Type.String(), { description: 'Models that do not come back from a run.' })),
});
