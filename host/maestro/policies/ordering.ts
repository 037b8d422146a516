/** Orders of other schedulers, each by what its authors order by. */
import type { Program, Snapshot, Ticket } from '../decision.js';
import type { Ordering } from './levels.js';

/** When a stage should be done, by what was asked of it and of its workflow. */
export function dueAt(ticket: Ticket): number {
  const { stage, program, readyAt } = ticket;
  const latency = stage.latencySeconds === undefined ? Infinity : readyAt + stage.latencySeconds;
  const firstToken = stage.firstTokenSeconds === undefined ? Infinity : readyAt + stage.firstTokenSeconds;
  return Math.min(program.deadline, latency, firstToken);
}

/** What has no deadline comes after all that has, in the order of arrival. */
const NO_DEADLINE = 1e9;

/** First come, first served, as calls come. */
export function fcfs(): Ordering {
  return { name: 'fcfs', rank: ({ readyAt }) => ({ tier: 0, key: readyAt }) };
}

/** Earliest deadline first; optional pre-emption of later ones. */
export function edf({ preemptive = false }: { readonly preemptive?: boolean } = {}): Ordering {
  const keyOf = (ticket: Ticket): number => {
    const due = dueAt(ticket);
    return due === Infinity ? NO_DEADLINE + ticket.readyAt : due;
  };
  return {
    name: preemptive ? 'edf-preemptive' : 'edf',
    rank: (ticket) => ({ tier: 0, key: keyOf(ticket) }),
    ...(preemptive && { preempts: (waiting, running) => keyOf(waiting) < keyOf(running) - 1 }),
  };
}

/** Shortest predicted stage first; `remaining`: shortest that is left, taking the place of longer ones. */
export function sjf({ remaining = false }: { readonly remaining?: boolean } = {}): Ordering {
  return {
    name: remaining ? 'srpt' : 'sjf',
    rank: (ticket, { outlook }) => ({ tier: 0, key: outlook.stageSeconds(ticket) }),
    ...(remaining && {
      preempts: (waiting: Ticket, running: Ticket, { outlook }: Snapshot) =>
        outlook.stageSeconds(waiting) < 0.5 * outlook.stageSeconds(running) - 0.5,
    }),
  };
}

/** Least time to spare: deadline less what is left of the workflow's longest chain. */
export function leastLaxity(): Ordering {
  return {
    name: 'least-laxity',
    followsProgram: 'ends',
    rank(ticket, { outlook }) {
      const due = Math.min(ticket.program.deadline, dueAt(ticket) + outlook.secondsAfter(ticket));
      const left = outlook.stageSeconds(ticket) + outlook.secondsAfter(ticket);
      return { tier: 0, key: due === Infinity ? NO_DEADLINE + ticket.readyAt : due - left };
    },
  };
}

export interface PlasOptions {
  /** Seconds of service up to which a program is in the first queue; each further one holds `factor` times as much. */
  readonly quantum?: number;
  readonly factor?: number;
  /** A call that has waited this many times as long as its program was served goes to the first queue. */
  readonly starvation?: number;
}

/** Least attained service by program (Luo et al., Autellix): queues by what all earlier calls of the program were served, in each first come first served. */
export function plas({ quantum = 2, factor = 2, starvation = 8 }: PlasOptions = {}): Ordering {
  const levelOf = (program: Program): number => {
    const served = program.attainedSeconds / quantum;
    return served < 1 ? 0 : 1 + Math.floor(Math.log(served) / Math.log(factor));
  };
  return {
    name: 'plas',
    followsProgram: 'ends',
    rank(ticket, { now }) {
      const level = levelOf(ticket.program);
      const promoted = ticket.readyAt + starvation * Math.max(quantum, ticket.program.attainedSeconds);
      if (ticket.phase === 'queued' && now >= promoted) return { tier: 0, key: ticket.readyAt };
      return { tier: level, key: ticket.readyAt, ...(ticket.phase === 'queued' && { until: promoted }) };
    },
    preempts: (waiting, running) => levelOf(waiting.program) + 1 < levelOf(running.program),
  };
}

export interface ProgramPausingOptions {
  /** Seconds in a tool after which half of a program's memory counts as free. */
  readonly halfLife?: number;
  /** Part of the memory for keys and values that programs may fill. */
  readonly fill?: number;
  /** Seconds after which a program begins all the same. */
  readonly mostWait?: number;
}

/**
 * Programs as units of memory, as ThunderAgent has it: those that run keep what they have computed; when memory is full, no further ones begin, and those in
 * tool calls give way, the smallest first, their claim fading with the time they are away. Waiting programs come back the largest that fits first.
 */
export function programPausing({ halfLife = 10, fill = 0.95, mostWait = 300 }: ProgramPausingOptions = {}): Ordering {
  interface Claim {
    readonly program: Program;
    bytes: number;
    since: number;
  }
  const claims = new Map<number, Claim>();
  const bytesOf = (ticket: Ticket, { models }: Snapshot): number =>
    (ticket.stage.promptTokens + ticket.generated + ticket.prediction.mean) * models[ticket.model]!.kvBytesPerToken;

  /** Claims, less what has faded. Programs that are over, or faded to little, are left out. */
  function claimed({ now }: Snapshot): number {
    let sum = 0;
    for (const [number, claim] of claims) {
      const acting = claim.program.active === 0;
      const part = acting ? 2 ** -((now - claim.since) / halfLife) : 1;
      if (claim.program.state !== 'open' || part < 0.05) claims.delete(number);
      else sum += part * claim.bytes;
    }
    return sum;
  }

  return {
    name: 'program-pausing',
    followsProgram: 'begins and ends',
    note(change, snapshot) {
      if (change.kind === 'started') {
        const { ticket } = change;
        const bytes = bytesOf(ticket, snapshot);
        const claim = claims.get(ticket.program.number);
        if (claim) claim.bytes = Math.max(claim.bytes, bytes);
        else claims.set(ticket.program.number, { program: ticket.program, bytes, since: snapshot.now });
      } else if (change.kind === 'ended') {
        const claim = claims.get(change.ticket.program.number);
        if (claim) claim.since = snapshot.now;
      }
    },
    rank(ticket, snapshot) {
      if (claims.has(ticket.program.number)) return { tier: 0, key: ticket.readyAt };
      // Best fit decreasing among those that wait, in steps, so that equals keep their order.
      const size = Math.floor(Math.log2(1 + bytesOf(ticket, snapshot)));
      return { tier: 1, key: ticket.readyAt - size };
    },
    mayStart(ticket, snapshot) {
      if (claims.has(ticket.program.number) || snapshot.now > ticket.readyAt + mostWait) return true;
      let capacity = 0;
      for (const node of snapshot.nodes) if (node.alive) capacity += node.deviceBytes - node.weightBytes;
      const mine = bytesOf(ticket, snapshot);
      return claims.size === 0 || claimed(snapshot) + mine <= fill * capacity;
    },
  };
}
