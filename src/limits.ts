// Every bound that is not an option, in one place, and the relations that must hold among them.
import assert from 'node:assert/strict';

/** OpenAI's own bound on a list of inputs (openai-openapi, CreateEmbeddingRequest). */
export const openaiInputsMax = 2048;
/** OpenAI's bound on a list of token ids; ours is higher so that any model's length fits. */
export const inputTokenIdsMax = 65_536;
/** Padded tokens in one session run; where warm-up stops looking for a larger one. */
export const runTokensMax = 16_384;
/** The smallest run that is tried; below it, starting runs costs too much on any machine. */
export const runTokensMin = 128;
/** A larger model file is not packed at load: its bytes are held while a session opens, beside the runtime's own copies. */
export const packedFileBytesMax = 512 * 1024 * 1024;
/** Models of longer texts are not packed at load: their graph would ask of each pair of tokens whether they are one text. */
export const packedTokensMax = 2048;
/** Models of longer texts are not held up by the memory of a run, and would keep thousands of plans of it. */
export const plannedTokensMax = 1024;
/** How long a measurement waits for an idle moment before it takes one. */
export const aloneWaitMsMax = 100;
/** Waiting inputs that the batching policy looks at: more gives no better lengths, only a longer sort. */
export const selectionWindowInputs = 512;
/** Bounds of what a full queue tells a client to wait. */
export const retryAfterMsMin = 1000;
export const retryAfterMsMax = 60_000;
/** How often a key file is looked at for changes. */
export const keyFilePollMs = 1000;
/** Requests that wait for one model to load; beyond it they are told to come again. */
export const loadWaitersMax = 1024;
/** How long a failed load is answered from memory before it is tried again. */
export const loadRetryMs = 5000;
/** While no model answers, how soon failed ones are loaded again; the wait doubles up to the maximum. */
export const recoveryMs = 1000;
export const recoveryMsMax = 60_000;
/** An fp32 file larger than this is not loaded only to be compared with a quantised one. */
export const precisionCheckBytesMax = 1024 ** 3;
/** How long the end of the server waits for the last rows of the history. */
export const historyCloseMsMax = 3000;
/** Bodies of all requests together; above it new bodies are refused, so a burst cannot exhaust memory. */
export const bodyBytesInFlightMax = 512 * 1024 * 1024;
/** Of one body that is read while it comes, what waits for its reader: a slow disk behind a fast client. */
export const streamWaitingBytesMax = 256 * 1024 * 1024;
/** Of a refused body, how much beyond the maximum is read and thrown away so that the client sees the answer. */
export const discardBytesMax = 64 * 1024 * 1024;
/** Answers kept for requests that come again byte for byte: the most asked for of them, a few thousand. */
export const repeatsBytesMax = 8 * 1024 * 1024;
/** Longer bodies are parsed each time: to compare them would take as long. */
export const repeatedBodyBytesMax = 64 * 1024;
/** Request ids longer than this are replaced, not cut: half an id is a wrong id. */
export const requestIdCharsMax = 64;
/** How much of a client's string an error or a log line repeats. */
export const echoCharsMax = 80;
/** Truncated inputs named in the answer's header; all are counted, and JSON answers name all. */
export const truncatedHeaderItemsMax = 64;
/** Time buckets kept by the rate limiter in memory: one per client address. */
export const rateLimitClientsMax = 100_000;
/** Rows of the inference history that wait in memory for the database; above it the oldest are dropped. */
export const historyBufferRowsMax = 10_000;
/** How long a reader of the history waits for its store; a writer waits longer, as nobody waits for it. */
export const historyReadMsMax = 5000;
/** Rows written at once, and rows waiting that are written without waiting for the interval. */
export const historyBatchRows = 512;
/** Old rows removed in one step, so that no step holds the database for long. */
export const historyPruneRows = 1024;
/** Rows in one page of the history. */
export const historyPageRowsMax = 500;
/** Of a name that came from a client, and how many inputs or metrics, one row keeps: a row stays below 16 KB. */
export const historyTextCharsMax = 128;
export const historyItemsMax = 16;
/** Tries of one request to the hub in a row that brought nothing, and the wait after the first; it doubles. */
export const hubTriesMax = 5;
export const hubRetryMs = 1000;
/** Where the doubling ends, and the longest wait a hub may ask for: its own limits last five minutes. */
export const hubRetryWaitMsMax = 8000;
export const hubRetryAfterMsMax = 300_000;
export const hubRedirectsMax = 5;
/** Of the JSON that lists a repository; one with 10,000 files has 3 MB. */
export const hubListingBytesMax = 32 * 1024 * 1024;
/** A download that brought this much since its last failure may fail again from the start. */
export const hubHeadwayBytes = 1024 * 1024;
export const hubDownloadsAtOnce = 4;
/** A lock is touched this often, and broken when that has not happened for long: its holder is gone or hangs. */
export const hubLockTouchMs = 5000;
export const hubLockStaleMs = 30_000;
export const hubLockPollMs = 100;
/** Links of pulls that were killed are removed after this. */
export const hubStagingAgeMsMax = 3_600_000;
/** Elements of one tensor in a request: an image of 22 megapixels with three channels. */
export const tensorElementsMax = 64 * 1024 * 1024;
/** Dimensions of one tensor: more than any model here has, few enough to walk by recursion. */
export const tensorRankMax = 8;
/** Inferences that wait for one tensor model, and the bytes of their inputs together. */
export const tensorQueueTasksMax = 256;
export const tensorQueueBytesMax = 512 * 1024 * 1024;
/** Rows that one run of a tensor model may join from several requests. */
export const tensorBatchRowsMax = 65_536;
/** Items of one batch of inferences. */
export const tensorBatchItemsMax = 100;
/** Versions that one comparison runs, and how often each. */
export const compareVersionsMax = 8;
export const compareRunsMax = 50;
/** Keys of one MGET, and of one step through the keys of Redis. */
export const redisLookupKeysMax = 1024;
export const redisScanKeys = 1000;
/** Keys looked at to say how many vectors Redis holds; of more, a share. */
export const redisCountedKeysMax = 10_000;
/** Values read from one answer of Redis before others get their turn: half a millisecond's work. */
export const redisDecodeSlice = 32;
/** Vectors that wait to be written to Redis, in bytes as float32; above it new ones are dropped. */
export const redisWriteQueueBytesMax = 8 * 1024 * 1024;
/** Vectors of one pipeline, packed in one go: a millisecond's work. */
export const redisWriteBatch = 32;
/** How long one pipeline may take, and the end of the server waits for the last ones. */
export const redisWriteMsMax = 1000;
/** Of a vector's lifetime, the part after which a use prolongs it: more often would be a write for each read. */
export const touchShare = 1 / 8;
/** Of the command `warm`: requests under way, their texts, and how often a busy server is asked again. */
export const warmRequestsAtOnce = 4;
export const warmTextsPerRequest = 64;
export const warmTriesMax = 30;
/** Failures of Redis in a row after which nobody asks it, how often it is tried then, and when a new connection is. */
export const breakerFailuresMax = 3;
export const breakerProbeMs = 250;
export const breakerReconnectProbes = 12;
/** Rows of a scan for near questions before others get their turn: about half a millisecond of 384 values each. */
export const semanticScanRows = 4096;
/** From here on a partition has a graph: a scan of that many rows of 384 values takes longer than a graph and its thread. */
export const semanticGraphRowsMin = 4096;
/** Rows handed to the graphs' thread at once. */
export const semanticGraphAddRows = 64;
/** HNSW's M, efConstruction and ef: more is slower and misses fewer neighbours (bench/semantic.ts). */
export const semanticGraphLinks = 16;
export const semanticGraphEfConstruction = 100;
export const semanticGraphEf = 100;
/** Share of removed rows from which a graph is built anew. */
export const semanticTombstonesMax = 0.25;
/** Neighbours of a question that the verdict is asked about. */
export const semanticCandidatesMax = 8;
/** What an entry weighs beside its text, its vector and its answer: maps, objects and strings' heads, as measured. */
export const semanticEntryOverheadBytes = 1024;
/** How often graphs that changed are saved. */
export const semanticSaveEveryMs = 300_000;
/** Changes written to a store in one step. */
export const semanticWriteChanges = 1000;
/** Of a dump: entries written to the store at once, and the longest line. */
export const semanticLoadEntries = 64;
export const semanticLineCharsMax = 16 * 1024 * 1024;
/** Entries read from a store at once. */
export const semanticReadBytes = 1024 * 1024;
/** A write to Redis not answered by then counts as failed. */
export const semanticRedisTimeoutMs = 2000;
/** How long a start waits for Redis; what it has comes later. */
export const semanticRedisOpenMsMax = 5000;
/** Changes that Redis keeps about for those who were away for a moment. */
export const semanticRedisLogLength = 10_000;
/** Changes or entries read from Redis at once. */
export const semanticRedisPortion = 200;
/** How long without a change until it is checked that Redis is still the same. */
export const semanticRedisIdleMs = 1000;
export const semanticRedisRetryMs = 100;
/** Uses of entries that wait to be written; a crash forgets those of this long. */
export const semanticUseFlushMs = 2000;
/** How often ended entries are looked for. */
export const semanticSweepMs = 10_000;
/** Semantic hits that feedback can still name a similarity for. */
export const semanticRecentHitsMax = 10_000;
/** Questions of one namespace that something was learned about. */
export const semanticLessonsMax = 10_000;
/** Misses that are under way at once and that others may join; beyond, nobody joins. */
export const semanticFlightsMax = 1024;
/** How often a Triton server and its models are looked at; one that is back is found within two of these. */
export const tritonPollMs = 1000;
/** How long one look may take, and the silent ones in a row after which the server is held to be gone. */
export const tritonPollTimeoutMs = 2000;
export const tritonSilencesMax = 3;
/** How often a model that answers is looked at for another version or configuration. */
export const tritonRefreshMs = 30_000;
/** The longest pause between two tries to connect. */
export const tritonReconnectMsMax = 1000;
/** One answer about a model, and one inference, whatever the request's own deadline. */
export const tritonMetadataMsMax = 5000;
export const tritonCallMsMax = 600_000;
/** One message to or from Triton: a batch of long texts, or their vectors. */
export const tritonMessageBytesMax = 64 * 1024 * 1024;
export const tritonEnsembleModelsMax = 64;
/** Of Triton's own words about a failure, how many a client sees. */
export const tritonReasonCharsMax = 200;
/** What clients of a stuck model are told to wait: a new process is there by then. */
export const stuckRetryMs = 5000;
/** Uploads at once; their models are checked one after another. */
export const uploadsMax = 4;
/** How long an upload may take from its first byte to its answer. */
export const uploadMsMax = 3_600_000;
/** Of one upload: its parts, the header of each, a plain field, the manifest, and all but the file together. */
export const uploadPartsMax = 16;
export const uploadHeaderBytesMax = 8 * 1024;
export const uploadFieldBytesMax = 1024;
export const uploadManifestBytesMax = 1024 * 1024;
export const uploadExtraBytesMax = 2 * 1024 * 1024;
/** Folders of uploads that another machine began are removed after this. */
export const uploadStagingAgeMsMax = 3_600_000;
/** Of an uploaded graph: characters of an input's or output's name, and how many of either there are. */
export const modelNameCharsMax = 200;
export const modelValuesMax = 256;
/** Elements of one input that a model is tried on. */
export const trialElementsMax = 16 * 1024 * 1024;
/** Hashes of model files that are remembered, so that a download need not read the file twice. */
export const fileHashesMax = 1000;
/** Of one answer of the upstream, which is held for all who wait for it; and of one that is kept. */
export const upstreamAnswerBytesMax = 32 * 1024 * 1024;
/** Of all answers of the upstream that somebody still waits for or reads; above it they are broken off. */
export const upstreamBytesInFlightMax = 256 * 1024 * 1024;
export const cachedAnswerBytesMax = 1024 * 1024;
/** Entries of the semantic cache in one page; and all lines of a dump. */
export const cacheEntriesPageMax = 1000;
export const cacheLoadBytesMax = 16 * 1024 * 1024 * 1024;
export const upstreamConnectionsMax = 256;
/** The wait before a request is sent to the upstream again; it doubles up to the maximum. */
export const upstreamRetryMs = 500;
export const upstreamRetryWaitMsMax = 8000;
/** Of a gRPC message, what may come on top of the tensors: names, shapes, parameters. */
export const grpcHeaderBytesMax = 64 * 1024;
/** The largest answer over gRPC; clients of Triton take up to 2 GiB. */
export const grpcAnswerBytesMax = 2 ** 31 - 1;
/** Calls on one gRPC connection at once, and requests of one stream that run at once. */
export const grpcStreamsMax = 256;
export const grpcStreamRequestsMax = 16;
/** While draining: how long gRPC clients may take for the rest of their requests and answers once nothing runs. */
export const grpcDrainMsMax = 10_000;
/** Inputs of a streamed request that are handed to the batcher at once, and those computed or waiting at most. */
export const streamSliceInputs = 256;
export const streamAheadInputs = 768;
/** Rows of it that are written at once: a millisecond's work. */
export const streamGroupRows = 32;
/** A streamed answer that has nothing to say for so long says that it is alive. */
export const eventHeartbeatMs = 15_000;
/** Open WebSockets, and the requests of one that are not finished. */
export const socketsMax = 10_000;
export const socketRequestsMax = 64;
/** Messages with requests that are not finished: of one connection in requests of the largest size, and of all. */
export const socketRequestsLargeMax = 4;
export const socketBytesInFlightMax = 256 * 1024 * 1024;
/** How far above the largest request a message may be and still get an answer; beyond it the connection is cut. */
export const socketMessageSlackBytes = 1024 * 1024;
/** Bytes that wait for one reader: above the first nothing is added to them but short notices, above both it is cut. */
export const socketBufferBytesMax = 1024 * 1024;
/** While draining: how long a reader may take nothing of what waits for it. */
export const socketDrainStallMsMax = 2000;
export const socketNoticeBytesMax = 1024 * 1024;
/** Finished parts that a request holds for its reader; of one that can be resumed, those not acknowledged. */
export const socketHeldBytesMax = 64 * 1024;
export const resumableHeldBytesMax = 1024 * 1024;
/** Requests that can be resumed, of all callers, and how long after their connection. */
export const resumableRequestsMax = 256;
export const resumableMsMax = 60_000;

assert(uploadExtraBytesMax >= uploadManifestBytesMax + uploadPartsMax * (uploadHeaderBytesMax + uploadFieldBytesMax));
assert(runTokensMin <= runTokensMax);
assert(streamAheadInputs >= selectionWindowInputs + streamSliceInputs, 'a streamed request must fill the window');
assert(historyPruneRows > historyBatchRows, 'removing must outrun writing');
assert(historyBatchRows < historyBufferRowsMax);
assert(requestIdCharsMax > 36, 'a UUID must fit');
assert(tensorQueueTasksMax >= tensorBatchItemsMax, 'one batch must fit');
assert(tensorQueueBytesMax >= tensorElementsMax * 8, 'one tensor of the widest type must fit');
assert(hubLockStaleMs > 3 * hubLockTouchMs, 'a late timer must not cost the lock');
assert(hubRetryMs <= hubRetryWaitMsMax && hubRetryWaitMsMax <= hubRetryAfterMsMax);
