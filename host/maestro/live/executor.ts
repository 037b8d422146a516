/**
 * The live executor: what happens on nodes becomes changes, a policy decides, and its actions are done on the nodes, on the real clock. The simulator is its
 * sibling: book, outlook, predictor and policy are the same.
 */
import { TuttiError } from '../../errors.js';
import { checkRequest } from '../../llm/engine/check-request.js';
import type { Embeddings, EngineUsage } from '../../llm/engine/text-engine.js';
import { createBook, type OpenProgram, type OpenTicket, type Ready } from '../book.js';
import type { Action, Change, Policy, Ticket } from '../decision.js';
import { createOutlook } from '../outlook.js';
import type { LengthPredictor } from '../predict/predictor.js';
import type { WorkflowSpec } from '../workflow.js';
import type { Cluster } from './cluster.js';
import { createEnding } from './ending.js';
import { createDecisionLoop, type DecisionLoop } from './decision-loop.js';
import { embedSomewhere } from './embed-somewhere.js';
import { createJob, takeChunk, type Job } from './job.js';
import { usageOf, type LiveNode, type NodeEvents } from './live-node.js';
import {
  createLiveProgram,
  noNodeFor,
  schedulerClosed,
  withoutParent,
  workflowOver,
  type LiveProgram,
  type StagePlan,
} from './live-program.js';
import type { MaestroLimits } from './options.js';
import { answersOf, boundedSpec, tellTicket } from './prepare-stage.js';
import { createRecorder, type MaestroReport, type OpenStageReport } from './report.js';

export interface Executor {
  readonly policy: string;
  readonly now: () => number;
  /** @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED */
  open(spec: Omit<WorkflowSpec, 'arrival' | 'stages'>): LiveProgram;
  /** All of them or, where one is invalid, none. @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED; why the workflow takes none */
  add(live: LiveProgram, plans: readonly StagePlan[]): void;
  /** Ends a stage, and those that wait for it. */
  giveUp(live: LiveProgram, id: string, error: unknown): void;
  complete(live: LiveProgram): void;
  readonly openWorkflows: number;
  /** What the engines of a model count, all nodes together. */
  usage(model: number): EngineUsage;
  /** @throws TuttiError DEVICE_UNAVAILABLE, ABORTED; what the engine throws */
  embed(
    model: number,
    texts: readonly (string | readonly number[])[],
    signal: AbortSignal | undefined,
  ): Promise<Embeddings>;
  report(): MaestroReport;
  close(): Promise<void>;
}

export interface ExecutorOptions {
  readonly cluster: Cluster;
  readonly policy: Policy;
  readonly predictor: LengthPredictor;
  readonly blockSize: number;
  readonly limits: MaestroLimits;
  readonly now: () => number;
  /** The nodes, which tell what happens from then on. */
  openNodes(events: NodeEvents, jobOf: (ticket: Ticket) => Job | undefined): Promise<readonly LiveNode[]>;
}

/** Sequences that a node is taken to have when nothing is known. */
const USUAL_SEQUENCES = 4;
const USUAL_CONTEXT = 500;

export async function createExecutor(options: ExecutorOptions): Promise<Executor> {
  const { cluster, policy, predictor, blockSize, limits, now } = options;
  const { models, index: modelIndex } = cluster;
  const jobs = new Map<number, Job>();
  const lives = new Map<number, LiveProgram>();
  /** Models of which an answer was timed. */
  const measured = new Set<number>();
  /** Of who waits for something to change on a node. */
  const waiting: (() => void)[] = [];
  /** Before the nodes are there, nothing is decided. */
  let loop: DecisionLoop | undefined = undefined;
  let closed = false;

  const book = createBook({
    ...{ models: new Set(modelIndex.keys()), modelIndex, predictor },
    ...{ stages: limits.stages, contextTokens: limits.contextTokens },
  });
  const nodes = await options.openNodes({ now, chunk, ended, refused, failed, overflow, lost, changed }, ({ number }) =>
    jobs.get(number),
  );
  const recorder = createRecorder(nodes, models, limits.remembered);
  const outlook = createOutlook(
    {
      secondsPerToken: models.map(
        (_, k) => firstWith(k)?.view.iterationSeconds(k, USUAL_SEQUENCES, USUAL_CONTEXT) ?? 0.05,
      ),
      secondsPerPromptToken: models.map((_, k) => 1 / (firstWith(k)?.view.prefillRate(k) ?? 1000)),
    },
    modelIndex,
  );
  const ending = createEnding({ book, outlook, nodes, jobs, lives, now, push });
  const { giveUp, settle } = ending;
  loop = createDecisionLoop({
    ...{ policy, nodes, now, apply, busy: () => jobs.size > 0, failed: policyFailed },
    snapshot: { nodes: nodes.map(({ view }) => view), models, blockSize, outlook },
    decided() {
      recorder.sample(nodes, now());
      for (const each of waiting.splice(0)) each();
    },
  });

  function offers(node: LiveNode, model: number): boolean {
    const place = node.view.models[model];
    return !node.gone && place !== undefined && (place.place !== 'disk' || place.readySeconds < Infinity);
  }
  function firstWith(model: number): LiveNode | undefined {
    return nodes.find((node) => offers(node, model));
  }

  const liveOf = (ticket: Ticket): LiveProgram => lives.get(ticket.program.number)!;
  const recordOf = (ticket: Ticket): OpenStageReport | undefined =>
    lives.get(ticket.program.number)?.plans.get(ticket.stage.id)?.record;

  function queue(job: Job): void {
    const { ticket } = job;
    if (job.done || ticket.program.state !== 'open') return;
    ticket.phase = 'queued';
    const record = recordOf(ticket);
    if (record) {
      record.outcome = 'queued';
      record.interruptions = ticket.interruptions;
    }
    push({ kind: 'queued', ticket });
  }

  function push(change: Change): void {
    loop?.push(change);
  }

  /** Stages that it has not let run are told; those that run end. */
  function policyFailed(cause: unknown): void {
    const why = cause instanceof Error ? cause.message : String(cause);
    const error = new TuttiError('OPTION_INVALID', `policy ${policy.name} failed: ${why}`, { where: 'policy', cause });
    for (const { ticket } of [...jobs.values()])
      if (ticket.phase === 'queued') giveUp(liveOf(ticket), ticket.stage.id, error);
  }

  function queueAgain(job: Job): void {
    job.ticket.interruptions++;
    queue(job);
  }

  function makeReady(live: LiveProgram, list: readonly Ready[]): void {
    for (const { ticket } of list) void prepare(live, ticket);
  }

  /** Its parents have ended: what it is asked becomes known, and with that what it will take. */
  async function prepare(live: LiveProgram, ticket: OpenTicket): Promise<void> {
    const { plan, record } = live.plans.get(ticket.stage.id)!;
    const model = models[ticket.model]!;
    try {
      const request = typeof plan.input === 'function' ? await plan.input(answersOf(live, ticket)) : plan.input;
      const tokens = await model.promptTokens(request);
      if (ticket.phase !== 'known' || ticket.program.state !== 'open') return;
      if (tokens) checkRequest(request, tokens, model.tokenizer!.size, model.context ?? Infinity);
      const job = createJob(ticket, request, tokens, plan.answer);
      jobs.set(ticket.number, job);
      const cached = Math.max(0, ...nodes.map(({ view }) => (view.alive ? view.cachedTokens(ticket) : 0)));
      const context = model.context ?? limits.contextTokens;
      tellTicket(ticket, { request, tokens, cached, context }, predictor);
      outlook.opened(ticket);
      recorder.predicted(record, ticket);
      record.queuedAt = ticket.readyAt = now();
      queue(job);
    } catch (error) {
      giveUp(live, ticket.stage.id, error);
    }
  }

  /** False when nothing came of it. */
  function apply(action: Action): boolean {
    switch (action.kind) {
      case 'admit': {
        const job = jobs.get(action.ticket.number);
        if (!job || job.ticket.phase !== 'queued') return false;
        const { ticket } = job;
        const node = nodes[action.node]!;
        fetchKept(job, action.node);
        if (!node.admit(job, action.reserveTokens)) {
          push({ kind: 'refused', ticket, node: action.node });
          loop?.again();
          return true;
        }
        ticket.phase = 'running';
        const record = recordOf(ticket);
        if (record) {
          record.outcome = 'running';
          record.startedAt ??= now();
          record.node = node.view.name;
          record.reservedTokens = job.reserveTokens;
        }
        push({ kind: 'started', ticket, node: action.node });
        return true;
      }
      case 'load':
        return nodes[action.node]!.load(action.model, action.park);
      case 'park':
        return nodes[action.node]!.park(action.model);
      case 'pause': {
        const job = jobs.get(action.ticket.number);
        if (!job || job.ticket.phase !== 'running') return false;
        if (!nodes[job.ticket.node]!.pause(job, action.keep)) return false;
        queueAgain(job);
        return true;
      }
      case 'migrate': {
        const job = jobs.get(action.ticket.number);
        if (!job || !job.ticket.kept || job.ticket.node === action.node) return false;
        fetchKept(job, action.node);
        job.ticket.node = action.node;
        return true;
      }
      case 'shed':
        return ending.shedProgram(action.program as OpenProgram, action.reason);
    }
  }

  /** Keys and values that are kept at another node come along. */
  function fetchKept(job: Job, to: number): void {
    const { ticket } = job;
    if (ticket.kept && ticket.node >= 0 && ticket.node !== to) job.moving ??= nodes[ticket.node]!.takeKept(job);
  }

  function chunk(job: Job, each: Parameters<NodeEvents['chunk']>[1], node: LiveNode): void {
    if (job.firstTokenAt < 0) {
      job.firstTokenAt = now();
      const record = recordOf(job.ticket);
      if (record) record.firstTokenAt = job.firstTokenAt;
      // Its prompt is computed: the node has room for the next one's.
      changed(node);
    }
    try {
      takeChunk(job, each);
    } catch (error) {
      giveUp(liveOf(job.ticket), job.ticket.stage.id, error);
    }
  }

  function ended(job: Job, node: LiveNode, decoded: number, seconds: number): void {
    const { ticket } = job;
    const live = liveOf(ticket);
    if (job.done || !live) return;
    job.done = true;
    jobs.delete(ticket.number);
    learnRates(ticket.model, node, decoded, seconds);
    const { record, plan } = live.plans.get(ticket.stage.id)!;
    const tokens = job.answerTokens ?? job.chunks;
    ticket.generated = tokens;
    ticket.node = node.view.index;
    ticket.kept = false;
    Object.assign(record, { outcome: 'ended', endedAt: now(), tokens, cachedTokens: job.cachedTokens });
    record.interruptions = ticket.interruptions;
    recorder.ended(record);
    const next = book.ended(ticket, tokens, job.served, now());
    push({ kind: 'ended', ticket, node: node.view.index, tokens, seconds: job.served });
    live.open--;
    live.touchedAt = now();
    plan.answer.end();
    makeReady(live, next);
    settle(live);
  }

  /** What a token takes: the first answer says more than any guess. */
  function learnRates(model: number, node: LiveNode, decoded: number, seconds: number): void {
    const { rates } = outlook;
    rates.secondsPerPromptToken[model] = 1 / node.view.prefillRate(model);
    if (measured.has(model)) outlook.noteDecoding(model, decoded, seconds);
    else if (decoded > 0 && seconds > 0) {
      measured.add(model);
      rates.secondsPerToken[model] = seconds / decoded;
    }
  }

  function refused(job: Job, node: LiveNode): void {
    job.ticket.node = -1;
    queueAgain(job);
    push({ kind: 'refused', ticket: job.ticket, node: node.view.index });
    loop?.again();
  }

  function failed(job: Job, _node: LiveNode, error: unknown, fault: 'request' | 'node'): void {
    const { ticket } = job;
    if (job.done || !lives.has(ticket.program.number)) return;
    if (fault === 'request' || ++job.failures >= limits.attempts) return giveUp(liveOf(ticket), ticket.stage.id, error);
    ticket.node = -1;
    ticket.kept = false;
    queueAgain(job);
    loop?.again();
  }

  function overflow(node: LiveNode, bytes: number): void {
    push({ kind: 'overflow', node: node.view.index, bytes });
    for (const action of loop?.ask() ?? []) if (action.kind === 'pause') apply(action);
  }

  function lost(running: readonly Job[], kept: readonly Job[], node: LiveNode): void {
    for (const { ticket } of kept) Object.assign(ticket, { kept: false, node: -1 });
    for (const job of running) {
      Object.assign(job.ticket, { kept: false, node: -1 });
      queueAgain(job);
    }
    changed(node);
  }

  /** With the last node that has a model, its stages are lost too. */
  function giveUpHopeless(): void {
    for (const { ticket } of [...jobs.values()]) {
      if (firstWith(ticket.model)) continue;
      const { name } = models[ticket.model]!;
      giveUp(liveOf(ticket), ticket.stage.id, noNodeFor(name));
    }
  }

  function changed(node: LiveNode): void {
    for (const each of waiting.splice(0)) each();
    push({ kind: 'node', node: node.view.index });
    giveUpHopeless();
  }

  loop.start();
  const executor: Executor = {
    policy: policy.name,
    now,
    open(spec) {
      if (closed) throw schedulerClosed();
      if (lives.size >= limits.workflows) {
        throw new TuttiError(
          'LIMIT_EXCEEDED',
          `${lives.size} workflows are open already; end some, or raise the limit`,
          {
            where: 'workflow',
            facts: { workflows: lives.size },
          },
        );
      }
      const arrival = now();
      const { program } = book.open({ ...spec, arrival, stages: [] }, arrival);
      const live = createLiveProgram(program, arrival);
      lives.set(program.number, live);
      push({ kind: 'arrived', program });
      return live;
    },
    add(live, plans) {
      if (closed) throw schedulerClosed();
      if (live.refusal) throw live.refusal;
      const { program } = live;
      const { id, application, tenant } = program.workflow;
      const next = book.grow(
        program,
        plans.map((plan) => boundedSpec(plan, limits.contextTokens)),
        now(),
      );
      for (const plan of plans) {
        const { spec } = plan;
        const record = recorder.known({
          ...{ workflow: id, application, tenant, stage: spec.id, role: spec.role, model: spec.model, knownAt: now() },
        });
        live.plans.set(spec.id, { plan, record });
      }
      live.open += plans.length;
      live.touchedAt = now();
      // A parent that has failed already: its children do too.
      for (const { spec } of plans) {
        const failedParent = spec.parents?.find((parent) => live.plans.get(parent)?.record.outcome === 'failed');
        if (failedParent === undefined) continue;
        giveUp(live, spec.id, withoutParent(spec.id, failedParent, undefined));
      }
      makeReady(live, next);
    },
    giveUp,
    get openWorkflows() {
      return lives.size;
    },
    usage: (model) => usageOf(nodes, model, [...jobs.values()]),
    embed: (model, texts, signal) =>
      embedSomewhere(nodes, {
        ...{ model, name: models[model]!.name, texts, signal },
        changed: () => new Promise((resolve) => waiting.push(resolve)),
      }),
    complete(live) {
      live.complete = true;
      live.refusal ??= workflowOver(live);
      settle(live);
    },
    report: () =>
      recorder.report({
        ...{ policy: policy.name, now: now(), decisions: loop.decisions },
        workflows: { open: lives.size, ended: ending.ended, shed: ending.shed },
      }),
    async close() {
      if (closed) return;
      const error = schedulerClosed();
      for (const live of [...lives.values()]) {
        for (const id of live.plans.keys()) giveUp(live, id, error);
        executor.complete(live);
      }
      closed = true;
      loop.stop();
      for (const node of nodes) await node.close();
    },
  };
  return executor;
}
