/**
 * The live executor: what happens on nodes becomes changes, a policy decides, and its actions are done on the nodes, on the real clock. The simulator is its
 * sibling: book, outlook, predictor and policy are the same.
 */
import { TuttiError, WorkflowShedError } from '../../errors.js';
import { nextTurn } from '../../llm/batching/turn.js';
import { checkRequest } from '../../llm/engine/check-request.js';
import type { Embeddings, EngineUsage } from '../../llm/engine/text-engine.js';
import { createBook, type OpenProgram, type OpenTicket, type Ready } from '../book.js';
import type { Action, Change, Policy, Snapshot, Ticket } from '../decision.js';
import { createOutlook } from '../outlook.js';
import type { LengthPredictor } from '../predict/predictor.js';
import type { WorkflowSpec } from '../workflow.js';
import type { Cluster } from './cluster.js';
import { embedSomewhere } from './embed-somewhere.js';
import { createJob, takeChunk, type Job } from './job.js';
import { usageOf, type LiveNode, type NodeEvents, type Open } from './live-node.js';
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

const TICK_MS = 1000;
/** After a refusal, a little longer than policies leave a node alone. */
const REFUSED_MS = 300;
/** Rounds of decisions in a row; more means that a policy goes round in circles. */
const MOST_ROUNDS = 10_000;
/** Sequences that a node is taken to have when nothing is known. */
const USUAL_SEQUENCES = 4;
const USUAL_CONTEXT = 500;

export async function createExecutor(options: ExecutorOptions): Promise<Executor> {
  const { cluster, policy, predictor, blockSize, limits, now } = options;
  const { models, index: modelIndex } = cluster;
  const jobs = new Map<number, Job>();
  const lives = new Map<number, LiveProgram>();
  const counts = { decisions: 0, ended: 0, shed: 0 };
  /** Of who waits for something to change on a node. */
  const waiting: (() => void)[] = [];
  let changes: Change[] = [];
  let deciding = false;
  let woken = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Before all nodes are there, nothing is decided. */
  let ready = false;
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
  const snapshot: Open<Snapshot> = {
    ...{ now: now(), nodes: nodes.map(({ view }) => view), models, blockSize, outlook, changes },
  };

  function offers(node: LiveNode, model: number): boolean {
    const place = node.view.models[model];
    return !node.gone && place !== undefined && (place.place !== 'disk' || place.readySeconds < Infinity);
  }
  function firstWith(model: number): LiveNode | undefined {
    return nodes.find((node) => offers(node, model));
  }

  function ask(): readonly Action[] {
    for (const node of nodes) node.refresh();
    snapshot.now = now();
    snapshot.changes = changes;
    changes = [];
    counts.decisions++;
    return policy.decide(snapshot);
  }

  function decide(): void {
    woken = false;
    if (closed || deciding) return;
    deciding = true;
    try {
      for (let round = 0; changes.length > 0 || round > 0; round++) {
        const actions = ask();
        if (actions.length === 0 && changes.length === 0) break;
        let effect = false;
        for (const action of actions) effect = apply(action) || effect;
        if ((!effect && changes.length === 0) || round > MOST_ROUNDS) break;
      }
    } finally {
      deciding = false;
    }
    recorder.sample(nodes, now());
    for (const each of waiting.splice(0)) each();
    tick();
  }

  /** Soon, and once for all that happens until then. */
  function wake(): void {
    if (woken || closed || !ready) return;
    woken = true;
    void nextTurn().then(decide);
  }

  /** While stages are under way, policies are asked every second at least. */
  function tick(ms = TICK_MS): void {
    if (closed || jobs.size === 0 || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      changes.push({ kind: 'time' });
      decide();
    }, ms);
  }

  function soon(): void {
    clearTimeout(timer);
    timer = undefined;
    tick(REFUSED_MS);
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
    changes.push({ kind: 'queued', ticket });
    wake();
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
          changes.push({ kind: 'refused', ticket, node: action.node });
          soon();
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
        changes.push({ kind: 'started', ticket, node: action.node });
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
        return shed(action.program as OpenProgram, action.reason);
    }
  }

  /** Keys and values that are kept at another node come along. */
  function fetchKept(job: Job, to: number): void {
    const { ticket } = job;
    if (ticket.kept && ticket.node >= 0 && ticket.node !== to) job.moving ??= nodes[ticket.node]!.takeKept(job);
  }

  function shed(program: OpenProgram, reason: string): boolean {
    const live = lives.get(program.number);
    if (!live || program.state !== 'open') return false;
    const error = new WorkflowShedError(program.workflow.id, reason);
    program.state = 'shed';
    live.refusal = error;
    for (const [id, { plan, record }] of live.plans) {
      if (record.endedAt !== undefined) continue;
      const job = jobs.get(program.tickets.get(id)?.number ?? -1);
      if (job) stop(job);
      record.outcome = 'shed';
      record.endedAt = now();
      plan.answer.fail(error);
    }
    live.open = 0;
    counts.shed++;
    changes.push({ kind: 'shed', program });
    forget(live, 'shed');
    return true;
  }

  function stop(job: Job): void {
    job.done = true;
    for (const node of nodes) node.drop(job);
    jobs.delete(job.ticket.number);
  }

  function giveUp(live: LiveProgram, id: string, error: unknown): void {
    const found = live.plans.get(id);
    if (!found || found.record.endedAt !== undefined) return;
    const { plan, record } = found;
    const { program } = live;
    const ticket = program.tickets.get(id);
    record.outcome = 'failed';
    record.endedAt = now();
    live.spoiled = true;
    live.open--;
    live.touchedAt = now();
    if (ticket) {
      const job = jobs.get(ticket.number);
      const node = Math.max(0, ticket.node);
      const seconds = job?.served ?? 0;
      if (job) stop(job);
      if (ticket.phase !== 'known') changes.push({ kind: 'ended', ticket, node, tokens: ticket.generated, seconds });
      ticket.phase = 'ended';
      ticket.tokens = record.tokens = ticket.generated;
      program.active--;
      program.lastEnd = now();
    } else (program.waiting as Map<string, number>).delete(id);
    program.version++;
    plan.answer.fail(error);
    for (const child of program.workflow.childrenOf(id)) giveUp(live, child.id, withoutParent(child.id, id, error));
    settle(live);
    wake();
  }

  /** Closes it when all of it has ended. */
  function settle(live: LiveProgram): void {
    const { program } = live;
    if (!live.complete || live.open > 0 || program.state !== 'open') return;
    program.state = live.spoiled ? 'shed' : 'ended';
    if (!live.spoiled) counts.ended++;
    const last = [...program.tickets.values()].at(-1);
    // Said once more now that its workflow is over, so that policies forget that.
    if (last)
      changes.push({ kind: 'ended', ticket: last, node: Math.max(0, last.node), tokens: last.tokens, seconds: 0 });
    forget(live, program.state);
    wake();
  }

  function forget(live: LiveProgram, state: 'ended' | 'shed'): void {
    const { program } = live;
    book.close(program, state);
    outlook.learn(program);
    for (const { number } of program.tickets.values()) jobs.delete(number);
    lives.delete(program.number);
    live.refusal ??= workflowOver(live);
    for (const each of live.whenClosed.splice(0)) each();
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
    outlook.noteDecoding(ticket.model, decoded, seconds);
    const { record, plan } = live.plans.get(ticket.stage.id)!;
    const tokens = job.answerTokens ?? job.chunks;
    ticket.generated = tokens;
    ticket.node = node.view.index;
    ticket.kept = false;
    Object.assign(record, { outcome: 'ended', endedAt: now(), tokens, cachedTokens: job.cachedTokens });
    record.interruptions = ticket.interruptions;
    recorder.ended(record);
    const next = book.ended(ticket, tokens, job.served, now());
    changes.push({ kind: 'ended', ticket, node: node.view.index, tokens, seconds: job.served });
    live.open--;
    live.touchedAt = now();
    plan.answer.end();
    makeReady(live, next);
    settle(live);
    wake();
  }

  function refused(job: Job, node: LiveNode): void {
    job.ticket.node = -1;
    queueAgain(job);
    changes.push({ kind: 'refused', ticket: job.ticket, node: node.view.index });
    soon();
  }

  function failed(job: Job, _node: LiveNode, error: unknown, fault: 'request' | 'node'): void {
    const { ticket } = job;
    if (job.done || !lives.has(ticket.program.number)) return;
    if (fault === 'request' || ++job.failures >= limits.attempts) return giveUp(liveOf(ticket), ticket.stage.id, error);
    ticket.node = -1;
    ticket.kept = false;
    queueAgain(job);
    soon();
  }

  function overflow(node: LiveNode, bytes: number): void {
    changes.push({ kind: 'overflow', node: node.view.index, bytes });
    for (const action of ask()) if (action.kind === 'pause') apply(action);
    wake();
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
    changes.push({ kind: 'node', node: node.view.index });
    giveUpHopeless();
    wake();
  }

  ready = true;
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
      changes.push({ kind: 'arrived', program });
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
        ...{ policy: policy.name, now: now(), decisions: counts.decisions },
        workflows: { open: lives.size, ended: counts.ended, shed: counts.shed },
      }),
    async close() {
      if (closed) return;
      const error = schedulerClosed();
      for (const live of [...lives.values()]) {
        for (const id of live.plans.keys()) giveUp(live, id, error);
        executor.complete(live);
      }
      closed = true;
      clearTimeout(timer);
      for (const node of nodes) await node.close();
    },
  };
  return executor;
}
