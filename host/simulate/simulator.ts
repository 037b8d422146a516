/**
 * Replays a workload in virtual time: the scheduler's own book and policy, with simulated nodes in place of engines. The same seedless run for the same
 * input, always: nothing here is random.
 */
import TinyQueue from 'tinyqueue';
import { createBook, type OpenProgram, type OpenTicket, type Ready } from '../maestro/book.js';
import type { Action, Change, NodeView, Policy, Snapshot } from '../maestro/decision.js';
import { createOutlook } from '../maestro/outlook.js';
import type { LengthPredictor } from '../maestro/predict/predictor.js';
import type { Stage } from '../maestro/workflow.js';
import { TuttiError } from '../errors.js';
import { createContents } from './contents.js';
import { createRecorder, type SimulationResult } from './metrics.js';
import { createSimulatedNode, type Job, type NodeEvents, type SimulatedNode } from './node.js';
import type { DeviceProfile } from './profiles.js';
import { createForesight } from './foresight.js';
import type { Workload, WorkloadStage } from './workload.js';

export interface SimulatedNodeSpec {
  readonly profile: DeviceProfile;
  /** Names of models on its device at first. Default: as many of the workload's as fit, in turn from node to node. */
  readonly resident?: readonly string[];
  /** When it is lost, and when it is back (never, where missing). */
  readonly failures?: readonly { readonly at: number; readonly back?: number }[];
  /** What it says of its load is multiplied by this. Default 1: the truth. */
  readonly lies?: number;
}

export interface SimulationOptions {
  readonly workload: Workload;
  readonly nodes: readonly SimulatedNodeSpec[];
  readonly policy: Policy;
  /** Learns and predicts; without, every answer is expected to be of the same length. */
  readonly predictor?: LengthPredictor;
  /** Predictions are the truth, of lengths and of what follows. */
  readonly oracle?: boolean;
  /** Seconds by which the policy's view of the nodes is out of date at most. Default 0. */
  readonly staleness?: number;
  readonly blockSize?: number;
  /** Most iterations to an event; 1 simulates every iteration by itself. Default: as many as nothing changes in. */
  readonly mostIterations?: number;
  /** Samples of memory over time; spans of stages on nodes. Default: none. */
  readonly trace?: boolean;
  /** Workflows that arrive before this time are not counted: they warm things up. */
  readonly warmupSeconds?: number;
  /** Called after every decision. For tests. */
  readonly check?: (nodes: readonly SimulatedNode[], now: number) => void;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly kind:
    'arrive' | 'ready' | 'wake' | 'loaded' | 'restored' | 'fail' | 'recover' | 'refresh' | 'sample' | 'tick';
  readonly node: number;
  /** A version, a model, an index: by kind. */
  readonly what: number;
  readonly ticket?: OpenTicket;
}

const PROGRESS: ReadonlySet<Event['kind']> = new Set(['arrive', 'ready', 'wake', 'restored', 'fail', 'recover']);
const NONE_LATER: WorkloadStage[] = [];
const SAMPLES = 1000;
const TICK_SECONDS = 1;
/** Seconds without anything else after which nothing will happen any more. */
const MOST_IDLE_TICKS = 3600;
/** Rounds of decisions at one time; more means that a policy goes round in circles. */
const MOST_ROUNDS = 100_000;

export function simulate(options: SimulationOptions): SimulationResult {
  const { workload, policy, predictor, oracle = false, staleness = 0, blockSize = 16 } = options;
  const modelIndex = new Map(workload.models.map((model, k) => [model.name, k]));
  const contents = createContents();
  /** By number of their tickets; those of workflows that are over are gone. */
  const jobs = new Map<number, Job>();
  const queue = new TinyQueue<Event>([], (a, b) => a.at - b.at || a.order - b.order);
  const recorder = createRecorder(workload, options.warmupSeconds ?? 0, options.trace ?? false);
  const hidden = new Map<number, WorkloadStage[]>();
  const workflows = new Map<number, readonly WorkloadStage[]>();
  let changes: Change[] = [];
  let now = 0;
  let order = 0;
  let open = 0;
  let decisions = 0;
  let ticking = false;
  let idleTicks = 0;

  const schedule = (at: number, kind: Event['kind'], node = -1, what = 0, ticket?: OpenTicket): void => {
    queue.push(ticket ? { at, order: order++, kind, node, what, ticket } : { at, order: order++, kind, node, what });
  };

  const truth = (stage: Stage): number =>
    Math.max(1, Math.min(stage.maxTokens, (stage.spec as WorkloadStage).outputTokens));
  const book = createBook({
    models: new Set(modelIndex.keys()),
    modelIndex,
    stages: 1e6,
    contextTokens: 2 ** 30,
    ...(predictor && { predictor }),
    ...(oracle && { lengthOf: truth }),
  });

  const events: NodeEvents = {
    wake: (node, at, version) => schedule(at, 'wake', node.view.index, version),
    firstToken: (job, at) => recorder.firstToken(job, at),
    ended,
    paused(job) {
      queueTicket(job.ticket);
    },
    overflow(node, bytes, at) {
      now = at;
      changes.push({ kind: 'overflow', node: node.view.index, bytes });
      const before = node.counts.pauses;
      refresh(node.view.index);
      for (const action of ask()) if (action.kind === 'pause') apply(action);
      return node.counts.pauses > before;
    },
    tooLarge(job) {
      shed(job.ticket.program, `stage ${job.ticket.stage.id} needs more memory than a node has`);
    },
  };

  const nodes = options.nodes.map(({ profile, resident }, index) => {
    const chosen = resident
      ? resident.map((name) => modelIndex.get(name) ?? unknownModel(name))
      : inTurn(index, profile);
    return createSimulatedNode({
      ...{ index, profile, models: workload.models, resident: chosen, blockSize, events },
      ...{ jobOf: (number) => jobs.get(number)!, mostIterations: options.mostIterations ?? 1e9 },
      restore: (node, job, at) => schedule(at, 'restored', node.view.index, 0, job.ticket),
    });
  });
  const direct = staleness === 0 && options.nodes.every(({ lies = 1 }) => lies === 1);
  const views: NodeView[] = nodes.map(({ view }) => view);
  if (!direct) nodes.forEach((_, k) => refresh(k));

  /** Node k has the k-th model first, and of the others what half of its memory takes. */
  function inTurn(index: number, profile: DeviceProfile): number[] {
    const room = profile.memoryBytes * profile.usable;
    const chosen: number[] = [];
    let bytes = 0;
    for (let k = 0; k < workload.models.length; k++) {
      const model = (index + k) % workload.models.length;
      const { weightBytes } = workload.models[model]!;
      if (bytes + weightBytes > (chosen.length === 0 ? 0.9 : 0.5) * room) continue;
      bytes += weightBytes;
      chosen.push(model);
    }
    return chosen;
  }

  function unknownModel(name: string): never {
    throw new TuttiError('OPTION_INVALID', `a node is to have the model ${name}, which the workload has not`, {
      where: 'nodes.resident',
    });
  }

  /** What the policy sees of a node from now on. */
  function refresh(index: number): void {
    if (direct) return;
    const { view } = nodes[index]!;
    const lie = options.nodes[index]!.lies ?? 1;
    views[index] = {
      ...view,
      ...{ seenAt: now, models: view.models.map((model) => ({ ...model })), running: Math.round(view.running * lie) },
      ...{ prefillTokens: view.prefillTokens * lie, contextTokens: view.contextTokens * lie },
      committedBytes: view.committedBytes * lie,
    };
  }

  const typical = nodes[0]!.view;
  const outlook = createOutlook(
    {
      secondsPerToken: workload.models.map((_, k) => {
        const sequences = Math.max(1, typical.slots / 4);
        return typical.iterationSeconds(k, sequences, sequences * 2000);
      }),
      secondsPerPromptToken: workload.models.map((_, k) => 1 / typical.prefillRate(k)),
    },
    modelIndex,
    oracle ? createForesight(workflows, truth) : undefined,
  );

  const snapshot: { -readonly [K in keyof Snapshot]: Snapshot[K] } = {
    ...{ now, nodes: views, models: workload.models, blockSize, outlook, changes },
  };

  function ask(): readonly Action[] {
    snapshot.now = now;
    snapshot.changes = changes;
    changes = [];
    decisions++;
    return policy.decide(snapshot);
  }

  function decide(): void {
    for (let round = 0; changes.length > 0 || round > 0; round++) {
      const actions = ask();
      if (actions.length === 0 && changes.length === 0) break;
      let effect = false;
      for (const action of actions) effect = apply(action) || effect;
      if (!effect && changes.length === 0) break;
      if (round > MOST_ROUNDS) {
        throw new TuttiError('LIMIT_EXCEEDED', `policy ${policy.name} does not come to an end at ${now} s`, {
          where: 'policy',
        });
      }
    }
    options.check?.(nodes, now);
  }

  function queueTicket(ticket: OpenTicket): void {
    if (ticket.program.state !== 'open') return;
    ticket.phase = 'queued';
    changes.push({ kind: 'queued', ticket });
  }

  function makeReady(ready: readonly Ready[]): void {
    for (const { ticket, at } of ready) {
      jobs.set(ticket.number, jobOf(ticket));
      outlook.opened(ticket);
      if (at <= now) queueTicket(ticket);
      else schedule(at, 'ready', -1, 0, ticket);
    }
  }

  function jobOf(ticket: OpenTicket): Job {
    const target = truth(ticket.stage);
    const { base, baseTokens, own } = contents.of(ticket, target, (id) => {
      const other = ticket.program.tickets.get(id);
      return other && jobs.get(other.number)?.own;
    });
    return {
      ticket,
      target,
      base,
      baseTokens,
      own,
      admittedAt: -1,
      firstTokenAt: -1,
      served: 0,
      decodeFrom: 0,
      computed: 0,
      cached: 0,
    };
  }

  /** False when nothing came of it. */
  function apply(action: Action): boolean {
    switch (action.kind) {
      case 'admit': {
        const ticket = action.ticket as OpenTicket;
        if (ticket.phase !== 'queued') return false;
        const node = nodes[action.node]!;
        const from = ticket.node;
        if (from >= 0 && from !== action.node) ticket.kept = false;
        const job = jobs.get(ticket.number)!;
        if (node.admit(job, action.reserveTokens, now)) {
          ticket.phase = 'running';
          recorder.admitted(job, now);
          changes.push({ kind: 'started', ticket, node: action.node });
        } else {
          refresh(action.node);
          changes.push({ kind: 'refused', ticket, node: action.node });
        }
        return true;
      }
      case 'load': {
        const seconds = nodes[action.node]!.load(action.model, action.park, now);
        if (seconds !== undefined) schedule(now + seconds, 'loaded', action.node, action.model);
        refresh(action.node);
        return seconds !== undefined;
      }
      case 'park': {
        const parked = nodes[action.node]!.park(action.model);
        refresh(action.node);
        return parked;
      }
      case 'pause': {
        const ticket = action.ticket as OpenTicket;
        if (ticket.phase !== 'running') return false;
        return nodes[ticket.node]!.pause(jobs.get(ticket.number)!, action.keep, now);
      }
      case 'migrate': {
        const ticket = action.ticket as OpenTicket;
        if (!ticket.kept || ticket.node < 0 || ticket.node === action.node) return false;
        ticket.node = action.node;
        return true;
      }
      case 'shed': {
        const program = action.program as OpenProgram;
        if (program.state !== 'open') return false;
        shed(program, action.reason);
        return true;
      }
    }
  }

  function shed(program: OpenProgram, reason: string): void {
    if (program.state !== 'open') return;
    program.state = 'shed';
    for (const ticket of program.tickets.values()) {
      if (ticket.phase === 'running') nodes[ticket.node]!.pause(jobs.get(ticket.number)!, false, now);
    }
    close(program, 'shed', reason);
    changes.push({ kind: 'shed', program });
  }

  function close(program: OpenProgram, state: 'ended' | 'shed', reason?: string): void {
    book.close(program, state);
    outlook.learn(program);
    recorder.closed(program, now, reason);
    for (const { number } of program.tickets.values()) jobs.delete(number);
    hidden.delete(program.number);
    workflows.delete(program.number);
    open--;
  }

  function ended(job: Job, node: SimulatedNode, at: number): void {
    const { ticket } = job;
    const { program } = ticket;
    if (program.state !== 'open') return;
    recorder.ended(job, node.view.index, at);
    if (job.target > 1) outlook.noteDecoding(ticket.model, job.target - 1, at - job.decodeFrom);
    const ready = book.ended(ticket, job.target, job.served, at);
    changes.push({ kind: 'ended', ticket, node: node.view.index, tokens: job.target, seconds: job.served });
    makeReady(ready);
    reveal(program);
    if (program.active === 0 && program.waiting.size === 0 && !hidden.has(program.number)) close(program, 'ended');
  }

  /** Stages that agents decide on now that their parents have ended. */
  function reveal(program: OpenProgram): void {
    const list = hidden.get(program.number);
    if (!list) return;
    const shown: WorkloadStage[] = [];
    const rest: WorkloadStage[] = [];
    const isEnded = (id: string): boolean => program.tickets.get(id)?.phase === 'ended';
    for (const stage of list) ((stage.parents ?? []).every(isEnded) ? shown : rest).push(stage);
    if (shown.length === 0) return;
    if (rest.length > 0) hidden.set(program.number, rest);
    else hidden.delete(program.number);
    makeReady(book.grow(program, shown, now));
  }

  /** Stages that are hidden, and those that need them. */
  function concealed(stages: readonly WorkloadStage[]): WorkloadStage[] {
    const ids = new Set<string>();
    return stages.filter((stage) => {
      if (!stage.hidden && !stage.parents?.some((id) => ids.has(id))) return false;
      ids.add(stage.id);
      return true;
    });
  }

  function arrive(index: number): void {
    const spec = workload.workflows[index]!;
    const next = workload.workflows[index + 1];
    if (next) schedule(next.arrival, 'arrive', -1, index + 1);
    const later = spec.stages.some(({ hidden: own }) => own) ? concealed(spec.stages) : NONE_LATER;
    const shown =
      later.length === 0 ? spec : { ...spec, stages: spec.stages.filter((stage) => !later.includes(stage)) };
    const { program, ready } = book.open(shown, now);
    workflows.set(program.number, spec.stages);
    if (later.length > 0) hidden.set(program.number, later);
    open++;
    tick();
    recorder.arrived(program);
    changes.push({ kind: 'arrived', program });
    makeReady(ready);
    reveal(program);
  }

  /** While workflows are open, policies are asked every second at least: some look at how long something took. */
  function tick(): void {
    if (ticking || open === 0 || idleTicks > MOST_IDLE_TICKS) return;
    ticking = true;
    schedule(now + TICK_SECONDS, 'tick');
  }

  function happen(event: Event): void {
    const node = nodes[event.node];
    // Models that come and go are no progress.
    if (PROGRESS.has(event.kind)) idleTicks = 0;
    switch (event.kind) {
      case 'arrive':
        return arrive(event.what);
      case 'ready':
        return event.ticket!.phase === 'known' ? queueTicket(event.ticket!) : undefined;
      case 'wake':
        return node!.wake(now, event.what);
      case 'loaded':
        node!.loaded(event.what, now);
        refresh(event.node);
        changes.push({ kind: 'node', node: event.node });
        return;
      case 'restored': {
        const job = jobs.get(event.ticket!.number);
        return job && node!.restored(job, now);
      }
      case 'fail':
        for (const { ticket } of node!.fail(now)) {
          ticket.interruptions++;
          ticket.node = -1;
          ticket.kept = false;
          queueTicket(ticket);
        }
        for (const program of book.programs.values()) {
          for (const ticket of program.tickets.values()) {
            if (ticket.kept && ticket.node === event.node) ticket.kept = false;
          }
        }
        refresh(event.node);
        changes.push({ kind: 'node', node: event.node });
        return;
      case 'recover':
        node!.recover(now);
        refresh(event.node);
        changes.push({ kind: 'node', node: event.node });
        return;
      case 'refresh':
        refresh(event.node);
        changes.push({ kind: 'node', node: event.node });
        if (open > 0 && idleTicks <= MOST_IDLE_TICKS) schedule(now + Math.max(staleness, 0.01), 'refresh', event.node);
        return;
      case 'sample':
        recorder.sample(nodes, now);
        return;
      case 'tick':
        ticking = false;
        idleTicks++;
        for (const other of nodes) other.report();
        changes.push({ kind: 'time' });
        tick();
    }
  }

  options.nodes.forEach(({ failures = [] }, index) => {
    for (const { at, back } of failures) {
      schedule(at, 'fail', index);
      if (back !== undefined) schedule(back, 'recover', index);
    }
    if (!direct) schedule(((index + 1) / options.nodes.length) * Math.max(staleness, 0.01), 'refresh', index);
  });
  const [firstWorkflow] = workload.workflows;
  if (firstWorkflow) schedule(firstWorkflow.arrival, 'arrive', -1, 0);
  const last = workload.workflows.at(-1)?.arrival ?? 0;
  for (let k = 0; k <= SAMPLES; k++) schedule((last * k) / SAMPLES, 'sample');

  for (let event = queue.pop(); event; event = queue.pop()) {
    now = event.at;
    happen(event);
    while (queue.length > 0 && queue.peek()!.at === now) happen(queue.pop()!);
    if (changes.length > 0) decide();
  }
  return recorder.result({ nodes, now, decisions, unfinished: open });
}
