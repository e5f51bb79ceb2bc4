// One model from start to end: first answers, the limit's best setting, then limit and server in turns.
import { createHistogram } from 'node:perf_hooks';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { textAt, type Profile } from './corpus.ts';
import { residentBytes } from './cpu.ts';
import { threadsName, type Cut } from './limit.ts';
import { cutInHand, searchLimit, startLimitPools, type LimitPlan } from './limit-search.ts';
import { loadShapes, type LoadClient, type LoadMeasure, type LoadShape, type LoadTarget } from './load.ts';
import { packageFolder, type BenchModel } from './models.ts';
import type { BenchOptions } from './options.ts';
import type { Disturbed, Patience, WatchedRate } from './quiet.ts';
import { median, type Row, type ServerFacts } from './report.ts';
import { ChildServer } from './server.ts';

const serverFile = fileURLToPath(new URL('../src/main.js', import.meta.url));
const embeddingsPath = '/v1/embeddings';
/** What a server takes at most, of a small model on a CPU, to measure its run size once it is ready. */
const tuneMsMax = 3000;
/** Load before anything is measured: in its first seconds V8 still compiles the server's code, on the cores that compute. */
const compileSeconds = 4;
/** Requests the client builds beforehand, as a share of what the limit's last rate would use up. */
const requestStockFactor = 1.3;

type Round = {
  readonly limit: WatchedRate;
  /** What bare workers reach with as many texts in hand as each load has in flight. In the order of `loadShapes`. */
  readonly inHand: readonly WatchedRate[];
  /** In the order of `loadShapes`. */
  readonly loads: readonly LoadMeasure[];
};

/** What all models of a run are measured with. */
export type BenchTools = {
  readonly client: LoadClient;
  readonly patience: Patience;
  /** Told what is being measured. */
  readonly progress: (what: string) => void;
};

/** Everything about one model. `onRows` gets its rows as soon as their rounds are done. */
export async function benchModel(
  model: BenchModel,
  tools: BenchTools,
  options: BenchOptions,
  onRows: (rows: readonly Row[]) => void,
): Promise<ServerFacts> {
  const { target, firstAnswerMs } = await startServer(model, options.starts, tools);
  try {
    // The server measures its run size in the first quiet moment, which loading the limit's sessions would not be.
    await sleep(tuneMsMax);
    const pools = await startLimitPools(model);
    for (const profile of options.profiles) {
      tools.progress(`${model.name} ${profile}: the limit's best setting`);
      const search = (choices: readonly number[]) =>
        searchLimit(pools, profile, choices, options.searchSeconds, tools.patience);
      const plan = await search(model.batchable ? options.runTokens : [0]);
      const batched = model.batchable ? undefined : await search(options.runTokens);
      const batchedTextsPerSecond = batched && (await limitRate(batched, options.seconds, tools)).textsPerSecond;
      const inHand: Cut[] = [];
      for (const shape of loadShapes) {
        inHand.push(await cutInHand(plan, profile, shape.connections * shape.textsPerRequest));
        await tools.client.measure(target, profile, shape, compileSeconds, requestStockFactor * plan.pool.lastTextsPerSecond);
      }
      const rounds: Round[] = [];
      for (let i = 0; i < options.rounds; i++) {
        tools.progress(`${model.name} ${profile}: round ${i + 1} of ${options.rounds}`);
        const order = i % 2 === 0 ? 'limit first' : 'limit last';
        rounds.push(await measureRound({ plan, inHand, target, profile, seconds: options.seconds, order }, tools));
      }
      const about = { model: model.name, profile, batchedTextsPerSecond };
      onRows(loadShapes.map((load, l) => ({ ...about, load, ...makeRow(plan, rounds, l) })));
    }
    for (const pool of pools) await pool.close();
    return { model: model.name, firstAnswerMs, residentBytes: residentBytes(target.server.pid) };
  } finally {
    await target.server.stop();
  }
}

/** Starts it `starts` times for the first-answer time; the last one stays. */
async function startServer(
  model: BenchModel,
  starts: number,
  tools: BenchTools,
): Promise<{ readonly target: LoadTarget; readonly firstAnswerMs: number }> {
  const times: number[] = [];
  const logFile = path.join(packageFolder, `bench/results/server-${model.name}.log`);
  for (;;) {
    tools.progress(`${model.name}: server start ${times.length + 1} of ${starts}`);
    const server = await ChildServer.start(serverFile, model.environment, logFile);
    try {
      const { body } = await server.until200('GET', '/v1/models');
      const name = (JSON.parse(body) as { data: { id: string }[] }).data[0]?.id ?? '';
      // A text of its own, far from those of the load, so that no cache has seen it.
      const input = textAt('short', 1_000_000_000 + times.length);
      await server.until200('POST', embeddingsPath, JSON.stringify({ model: name, input }));
      times.push(performance.now() - server.startedMs);
      await server.until200('GET', '/readyz');
      const target = { server, path: embeddingsPath, model: name };
      if (times.length === starts) return { target, firstAnswerMs: median(times) };
    } catch (error) {
      await server.stop();
      throw error;
    }
    await server.stop();
  }
}

type RoundPlan = {
  readonly plan: LimitPlan;
  readonly inHand: readonly Cut[];
  readonly target: LoadTarget;
  readonly profile: Profile;
  readonly seconds: number;
  /** Turned about from round to round, so that a drift of the machine cancels out. */
  readonly order: 'limit first' | 'limit last';
};

/** The limit and each load once. */
async function measureRound(round: RoundPlan, tools: BenchTools): Promise<Round> {
  const { plan, seconds } = round;
  const measureLoads = async (shapes: readonly LoadShape[]) => {
    const loads: LoadMeasure[] = [];
    for (const shape of shapes) {
      const stock = requestStockFactor * plan.pool.lastTextsPerSecond;
      const measure = () => tools.client.measure(round.target, round.profile, shape, seconds, stock);
      loads.push(await tools.patience.quietest(measure));
    }
    return loads;
  };
  const measureLimits = async () => {
    const limit = await limitRate(plan, seconds, tools);
    const inHand: WatchedRate[] = [];
    for (const cut of round.inHand) inHand.push(await limitRate({ pool: plan.pool, cut }, seconds, tools));
    return { limit, inHand };
  };
  if (round.order === 'limit first') return { ...(await measureLimits()), loads: await measureLoads(loadShapes) };
  const loads = (await measureLoads([...loadShapes].reverse())).reverse();
  return { ...(await measureLimits()), loads };
}

function limitRate(plan: LimitPlan, seconds: number, tools: BenchTools): Promise<WatchedRate> {
  return tools.patience.quietestRate(() => plan.pool.measure(plan.cut, seconds));
}

type Measured = Omit<Row, 'model' | 'profile' | 'load' | 'batchedTextsPerSecond'>;

/** What the rounds say about load shape number `l`. */
function makeRow(plan: LimitPlan, rounds: readonly Round[], l: number): Measured {
  const measures = rounds.map((round) => round.loads[l]!);
  const latency = createHistogram();
  for (const measure of measures) latency.add(measure.latencyMicros);
  const ratios = rounds.map((round) => round.loads[l]!.textsPerSecond / round.limit.textsPerSecond);
  const cpuRatios = rounds.map(({ limit, loads }) => {
    const served = loads[l]!;
    return served.textsPerSecond / served.serverCores / (limit.textsPerSecond / limit.cores);
  });
  return {
    limitTextsPerSecond: median(rounds.map((round) => round.limit.textsPerSecond)),
    limitThreads: threadsName(plan.pool.threads),
    limitRunTokens: plan.cut.runTokens,
    serverTextsPerSecond: median(measures.map((measure) => measure.textsPerSecond)),
    ratio: median(ratios),
    ratios,
    inHandRatio: median(rounds.map((round) => round.loads[l]!.textsPerSecond / round.inHand[l]!.textsPerSecond)),
    cpuRatio: median(cpuRatios),
    latencyP50Ms: latency.percentile(50) / 1000,
    latencyP99Ms: latency.percentile(99) / 1000,
    clientCores: median(measures.map((measure) => measure.clientCores)),
    serverCores: median(measures.map((measure) => measure.serverCores)),
    foreignCoresMax: Math.max(...rounds.flatMap((round) => [round.limit, round.loads[l]!]).map(foreignCoresOf)),
  };
}

function foreignCoresOf(measured: Disturbed): number {
  return measured.foreignCores ?? 0;
}
