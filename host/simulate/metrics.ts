/** What is written down of a simulated run, and what it comes to. */
import type { OpenProgram } from '../maestro/book.js';
import type { StageClass } from '../maestro/workflow.js';
import { quantileOf } from './intervals.js';
import type { Job, SimulatedNode } from './node.js';
import type { Workload } from './workload.js';

export interface Distribution {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly most: number;
}

export interface ClassSummary {
  readonly workflows: number;
  /** Part of them that met all that was asked: deadline, first tokens, latencies. Those that were shed did not. */
  readonly attained: number;
  readonly shed: number;
  /** Workflows a second that met it. */
  readonly goodput: number;
  /** Seconds, of workflows that ended, and of stages. */
  readonly latency: Distribution;
  readonly firstToken: Distribution;
  readonly queueing: Distribution;
}

export interface MemorySample {
  readonly at: number;
  readonly weights: number;
  readonly reserved: number;
  readonly used: number;
  readonly idle: number;
  /** For answers alone; and what whole prompts and the longest answers would take with nothing shared, and of that the answers. */
  readonly answers: number;
  readonly whole: number;
  readonly longestAnswers: number;
}

export interface StageSpan {
  readonly node: number;
  readonly from: number;
  readonly to: number;
  readonly role: string;
  readonly model: number;
  readonly workflow: string;
}

export interface SimulationResult {
  readonly workload: string;
  /** Names of its models. */
  readonly models: readonly string[];
  readonly all: ClassSummary;
  readonly interactive: ClassSummary;
  readonly batch: ClassSummary;
  readonly seconds: number;
  readonly stages: number;
  readonly tokens: number;
  readonly promptTokens: number;
  /** Of the prompts, tokens that were found cached. */
  readonly reusedTokens: number;
  readonly decisions: number;
  /** Workflows that neither ended nor were shed: a defect of the policy, or no node was left. */
  readonly unfinished: number;
  readonly pauses: number;
  readonly keptPauses: number;
  readonly loads: number;
  readonly hostLoads: number;
  /** Part of stages whose model was on a device when they could run. */
  readonly warmStages: number;
  readonly evictedBlocks: number;
  readonly utilisation: number;
  /** Averages over time while work arrives, bytes of all nodes. */
  readonly reservedBytes: number;
  readonly usedBytes: number;
  readonly answerBytes: number;
  /** The same with every prompt whole, every answer as long as allowed, nothing shared. */
  readonly wholeBytes: number;
  readonly longestAnswerBytes: number;
  /** Jain's index over the tenants' attained parts. */
  readonly fairness: number;
  readonly reasons: Readonly<Record<string, number>>;
  readonly memory: readonly MemorySample[];
  readonly spans: readonly StageSpan[];
  /** Latencies of workflows, ascending, for distribution plots. */
  readonly latencies: Float64Array;
}

interface ProgramRecord {
  readonly class: StageClass;
  readonly tenant: string;
  readonly counted: boolean;
  met: boolean;
  state: 'open' | 'ended' | 'shed';
  latency: number;
}

export interface Recorder {
  arrived(program: OpenProgram): void;
  admitted(job: Job, at: number): void;
  firstToken(job: Job, at: number): void;
  ended(job: Job, node: number, at: number): void;
  closed(program: OpenProgram, at: number, reason?: string): void;
  sample(nodes: readonly SimulatedNode[], at: number): void;
  result(end: {
    readonly nodes: readonly SimulatedNode[];
    readonly now: number;
    readonly decisions: number;
    readonly unfinished: number;
  }): SimulationResult;
}

function distribution(...lists: readonly (readonly number[])[]): Distribution {
  const sorted = new Float64Array(lists.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const list of lists) {
    sorted.set(list, filled);
    filled += list.length;
  }
  sorted.sort();
  let sum = 0;
  for (const value of sorted) sum += value;
  const at = (level: number): number => quantileOf(sorted, level);
  return { mean: sum / sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: at(1) };
}

export function createRecorder(workload: Workload, warmupSeconds: number, keepSpans: boolean): Recorder {
  /** By the programs' numbers, which count up from 0. */
  const programs: ProgramRecord[] = [];
  const times = {
    interactive: { first: [] as number[], queue: [] as number[] },
    batch: { first: [] as number[], queue: [] as number[] },
  };
  const memory: MemorySample[] = [];
  const spans: StageSpan[] = [];
  const reasons: Record<string, number> = {};
  let stages = 0;
  let tokens = 0;
  let promptTokens = 0;
  let warm = 0;
  let starts = 0;

  return {
    arrived(program) {
      const { class: kind, tenant, arrival } = program.workflow;
      const counted = arrival >= warmupSeconds;
      programs[program.number] = { class: kind, tenant, counted, met: true, state: 'open', latency: Number.NaN };
    },
    admitted(job, at) {
      // Only the first time: later ones come after pauses.
      if (job.served > 0 || job.firstTokenAt >= 0) return;
      times[job.ticket.stage.class].queue.push(at - job.ticket.readyAt);
      starts++;
      if (at - job.ticket.readyAt < 1e-9) warm++;
    },
    firstToken({ ticket }, at) {
      const { stage, program } = ticket;
      const seconds = at - ticket.readyAt;
      times[stage.class].first.push(seconds);
      if (stage.firstTokenSeconds !== undefined && seconds > stage.firstTokenSeconds) {
        const record = programs[program.number];
        if (record) record.met = false;
      }
    },
    ended(job, node, at) {
      const { stage, program, readyAt, model } = job.ticket;
      stages++;
      tokens += job.target;
      promptTokens += stage.promptTokens;
      if (stage.latencySeconds !== undefined && at - readyAt > stage.latencySeconds) {
        const record = programs[program.number];
        if (record) record.met = false;
      }
      if (keepSpans && spans.length < 20_000) {
        spans.push({ node, from: job.admittedAt, to: at, role: stage.role, model, workflow: program.workflow.id });
      }
    },
    closed(program, at, reason) {
      const record = programs[program.number]!;
      record.state = program.state;
      record.latency = at - program.workflow.arrival;
      if (program.state === 'shed' || at > program.deadline) record.met = false;
      if (reason !== undefined) {
        const kind = reason.replace(/\S*\d\S*/g, '#');
        reasons[kind] = (reasons[kind] ?? 0) + 1;
      }
    },
    sample(nodes, at) {
      let weights = 0;
      let reserved = 0;
      let used = 0;
      let idle = 0;
      let [answers, whole, longestAnswers] = [0, 0, 0];
      for (const { view, usedBytes, reservations } of nodes) {
        answers += reservations.answers;
        whole += reservations.whole;
        longestAnswers += reservations.longestAnswers;
        weights += view.weightBytes;
        reserved += view.committedBytes;
        idle += view.idleBytes;
        used += usedBytes;
      }
      memory.push({ at, weights, reserved, used, idle, answers, whole, longestAnswers });
    },
    result({ nodes, now, decisions, unfinished }) {
      const list = programs.filter(({ counted }) => counted);
      const summary = (kinds: readonly StageClass[]): ClassSummary => {
        const own = list.filter((p) => kinds.includes(p.class));
        const met = own.filter((p) => p.met && p.state === 'ended').length;
        return {
          workflows: own.length,
          attained: own.length === 0 ? 1 : met / own.length,
          shed: own.filter((p) => p.state === 'shed').length,
          goodput: met / now,
          latency: distribution(own.filter((p) => p.state === 'ended').map((p) => p.latency)),
          firstToken: distribution(...kinds.map((kind) => times[kind].first)),
          queueing: distribution(...kinds.map((kind) => times[kind].queue)),
        };
      };
      const tenants = new Map<string, { met: number; all: number }>();
      for (const { tenant, met, state } of list) {
        const entry = tenants.get(tenant) ?? { met: 0, all: 0 };
        entry.all++;
        if (met && state === 'ended') entry.met++;
        tenants.set(tenant, entry);
      }
      const parts = [...tenants.values()].map(({ met, all }) => met / all);
      const sum = parts.reduce((a, b) => a + b, 0);
      const squares = parts.reduce((a, b) => a + b * b, 0);
      const over = (pick: (node: SimulatedNode) => number): number =>
        nodes.reduce((total, node) => total + pick(node), 0);
      const average = (pick: (sample: MemorySample) => number): number =>
        memory.reduce((total, sample) => total + pick(sample), 0) / Math.max(1, memory.length);
      return {
        models: workload.models.map(({ name }) => name),
        ...{ workload: workload.name, all: summary(['interactive', 'batch']), interactive: summary(['interactive']) },
        ...{ batch: summary(['batch']), seconds: now, stages, tokens, promptTokens, decisions, unfinished },
        reusedTokens: over(({ counts }) => counts.reused),
        pauses: over(({ counts }) => counts.pauses),
        keptPauses: over(({ counts }) => counts.kept),
        loads: over(({ counts }) => counts.loads),
        hostLoads: over(({ counts }) => counts.hostLoads),
        warmStages: starts === 0 ? 1 : warm / starts,
        evictedBlocks: over(({ counts }) => counts.droppedBlocks),
        utilisation: over(({ counts }) => counts.busySeconds) / (Math.max(now, 1e-9) * nodes.length),
        reservedBytes: average(({ reserved }) => reserved),
        usedBytes: average(({ used }) => used),
        answerBytes: average(({ answers }) => answers),
        wholeBytes: average(({ whole }) => whole),
        longestAnswerBytes: average(({ longestAnswers }) => longestAnswers),
        fairness: squares === 0 ? 1 : sum ** 2 / (parts.length * squares),
        ...{ reasons, memory, spans },
        latencies: Float64Array.from(list.filter((p) => p.state === 'ended').map((p) => p.latency)).sort(),
      };
    },
  };
}
