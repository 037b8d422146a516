/** What a live scheduler did: stages with what was predicted and what came, nodes, memory over time. */
import type { NodeView } from '../decision.js';
import type { OpenTicket } from '../book.js';
import type { Job } from './job.js';
import type { LiveNode, NodeCounts } from './live-node.js';
import type { OpenClusterModel } from './cluster.js';

export type StageOutcome = 'waiting' | 'queued' | 'running' | 'ended' | 'failed' | 'shed';

/** Times are in seconds since the scheduler was made; undefined until then. Lengths are in tokens. */
export interface StageReport {
  readonly workflow: string;
  readonly application: string;
  readonly tenant: string;
  readonly stage: string;
  readonly role: string;
  readonly model: string;
  readonly outcome: StageOutcome;
  readonly promptTokens: number;
  /** Of the prompt, what did not have to be computed. */
  readonly cachedTokens: number;
  /** Of the answer: the median and the 90 % quantile that were predicted, what memory was last set aside for, and what came. */
  readonly predictedTokens: number;
  readonly predictedMost: number;
  readonly reservedTokens: number;
  readonly tokens: number;
  /** Known, and able to run: parents ended, prompt there. */
  readonly knownAt: number;
  readonly queuedAt: number | undefined;
  readonly startedAt: number | undefined;
  readonly firstTokenAt: number | undefined;
  readonly endedAt: number | undefined;
  /** Where it ran last. */
  readonly node: string | undefined;
  /** How often it had to begin or wait again. */
  readonly interruptions: number;
}

export interface NodeReport extends Readonly<NodeCounts> {
  readonly name: string;
  readonly alive: boolean;
  readonly running: number;
  /** For weights and keys and values together; weights; keys and values set aside, held by stages, and cached for nobody. */
  readonly deviceBytes: number;
  readonly weightBytes: number;
  readonly committedBytes: number;
  readonly usedBytes: number;
  readonly idleBytes: number;
  readonly models: readonly {
    readonly name: string;
    readonly place: 'device' | 'loading' | 'host' | 'disk';
    readonly running: number;
    readonly readySeconds: number;
  }[];
}

export interface MemorySample {
  readonly at: number;
  readonly node: string;
  readonly weightBytes: number;
  readonly committedBytes: number;
  readonly usedBytes: number;
}

export interface MaestroReport {
  readonly policy: string;
  readonly now: number;
  readonly decisions: number;
  readonly workflows: { readonly open: number; readonly ended: number; readonly shed: number };
  readonly nodes: readonly NodeReport[];
  /** In the order in which they became known; the latest, where there were very many. */
  readonly stages: readonly StageReport[];
  readonly memory: readonly MemorySample[];
  /** Of ended stages: mean absolute error of the median, and the part that stayed within the 90 % quantile. */
  readonly prediction: { readonly stages: number; readonly meanError: number; readonly covered: number };
  /** Bytes of keys and values times seconds: set aside, in use, and what prompt and longest answer of every running stage would have set aside. */
  readonly reservation: { readonly committed: number; readonly used: number; readonly maxLength: number };
}

export type OpenStageReport = { -readonly [K in keyof StageReport]: StageReport[K] };

export interface Recorder {
  known(ticket: { readonly workflow: string; readonly stage: string } & Partial<StageReport>): OpenStageReport;
  predicted(record: OpenStageReport, ticket: OpenTicket): void;
  ended(record: OpenStageReport): void;
  /** Called after something began or ended: what is measured now counts until the next call. */
  sample(nodes: readonly LiveNode[], now: number): void;
  report(rest: Omit<MaestroReport, 'nodes' | 'stages' | 'memory' | 'prediction' | 'reservation'>): MaestroReport;
}

/** Samples that are kept; then every second one goes. */
const MOST_SAMPLES = 4000;

export function createRecorder(
  nodes: readonly LiveNode[],
  models: readonly OpenClusterModel[],
  remembered: number,
): Recorder {
  let stages: OpenStageReport[] = [];
  let memory: MemorySample[] = [];
  let every = 0.01;
  let sampledAt = -Infinity;
  let integratedAt = 0;
  const reservation = { committed: 0, used: 0, maxLength: 0 };
  let level = { committed: 0, used: 0, maxLength: 0 };
  let count = 0;
  let error = 0;
  let covered = 0;

  const longest = (job: Job): number => {
    const { stage, model } = job.ticket;
    return (stage.promptTokens + stage.maxTokens) * models[model]!.kvBytesPerToken;
  };

  function nodeReport(node: LiveNode): NodeReport {
    node.refresh();
    const { name, alive, running, deviceBytes, weightBytes, committedBytes, idleBytes } = node.view;
    return {
      ...{ name, alive, running, deviceBytes, weightBytes, committedBytes, usedBytes: node.usedBytes, idleBytes },
      models: modelsOf(node.view, models),
      ...node.counts,
    };
  }

  return {
    known(rest) {
      const record: OpenStageReport = {
        ...{ application: 'unknown', tenant: 'default', role: '', model: '', outcome: 'waiting', promptTokens: 0 },
        ...{ cachedTokens: 0, predictedTokens: 0, predictedMost: 0, reservedTokens: 0, tokens: 0, knownAt: 0 },
        ...{ queuedAt: undefined, startedAt: undefined, firstTokenAt: undefined, endedAt: undefined },
        ...{ node: undefined, interruptions: 0 },
        ...rest,
      };
      stages.push(record);
      if (stages.length > 2 * remembered) stages = stages.slice(-remembered);
      return record;
    },
    predicted(record, { prediction, stage }) {
      record.promptTokens = stage.promptTokens;
      record.predictedTokens = prediction.median;
      record.predictedMost = prediction.quantile(0.9);
    },
    ended({ tokens, predictedTokens, predictedMost }) {
      count++;
      error += Math.abs(tokens - predictedTokens);
      if (tokens <= predictedMost) covered++;
    },
    sample(_nodes, now) {
      const seconds = now - integratedAt;
      integratedAt = now;
      const due = now - sampledAt >= every;
      if (due) sampledAt = now;
      reservation.committed += seconds * level.committed;
      reservation.used += seconds * level.used;
      reservation.maxLength += seconds * level.maxLength;
      level = { committed: 0, used: 0, maxLength: 0 };
      for (const node of nodes) {
        node.refresh();
        const { committedBytes, weightBytes, name } = node.view;
        const { usedBytes } = node;
        level.committed += committedBytes;
        level.used += usedBytes;
        for (const job of node.jobs) level.maxLength += longest(job);
        if (due) memory.push({ at: now, node: name, weightBytes, committedBytes, usedBytes });
      }
      if (memory.length <= MOST_SAMPLES) return;
      const times = [...new Set(memory.map(({ at }) => at))];
      const kept = new Set(times.filter((_, k) => k % 2 === 0));
      memory = memory.filter(({ at }) => kept.has(at));
      every *= 2;
    },
    report: (rest) => ({
      ...rest,
      nodes: nodes.map(nodeReport),
      stages: stages.slice(-remembered).map((each) => ({ ...each })),
      memory: memory.slice(),
      prediction: { stages: count, meanError: count > 0 ? error / count : 0, covered: count > 0 ? covered / count : 0 },
      reservation: { ...reservation },
    }),
  };
}

function modelsOf(view: NodeView, models: readonly OpenClusterModel[]): NodeReport['models'] {
  return models.map(({ name }, k) => {
    const { place = 'disk', running = 0, readySeconds = Infinity } = view.models[k] ?? {};
    return { name, place, running, readySeconds };
  });
}
