/**
 * Maestro's order over all workflows. Whose deadline comes first goes first, a little later the more work it still is, as long as it can be met; one that
 * is predicted to be missed gives way, the sooner the more has been missed of late, which keeps an overloaded cluster from working for nothing but
 * the late. A workflow whose deadline is out of reach for certain is given up and its caller told. Who waits long enough goes before everybody.
 */
import type { Change, Program, Snapshot, Ticket } from '../decision.js';
import type { Rank } from '../rank-heap.js';
import type { Ordering } from './levels.js';
import { dueAt } from './ordering.js';

export interface MaestroOrderingOptions {
  /** Looks at what is left of the whole workflow, not of the stage alone. Default true. */
  readonly workflows?: boolean;
  /** What is predicted to be late gives way. Default true. */
  readonly demotes?: boolean;
  /** Seconds later for each second of work that is left. Default 0.3. */
  readonly work?: number;
  /** Seconds later for each second that it came later. Default 0.05. */
  readonly ageing?: number;
  /** Seconds by which batch stages come later than interactive ones. Default 5. */
  readonly batchLater?: number;
  /** Part of its surplus over a fair share, in seconds of service, by which a tenant's stages come later. Default 0.1. */
  readonly fairness?: number;
  /** Gives up what cannot be met any more. Default true. */
  readonly sheds?: boolean;
  /** Lets urgent stages take the place of those that can wait. Default false: what pauses cost was more than they gained on every workload tried. */
  readonly preempts?: boolean;
  /** Seconds after which a stage goes before everything else. Default 600. */
  readonly mostWait?: number;
}

/** What has no deadline is treated as if it had one so many seconds after it could start, by class. */
const IMPLIED = { interactive: 120, batch: 900 } as const;
/** Part of what is left that counts when nothing is missed, how that grows with the part of workflows that are, and over how many these are counted. */
const CALM = 0.4;
const ALARM = 4;
const RECENT = 60;
/** Of a tenant's service, what is forgotten with every stage that ends anywhere. */
const FORGET = 0.999;

export function maestroOrdering(options: MaestroOrderingOptions = {}): Ordering {
  const { workflows = true, demotes = true, work = 0.3, ageing = 0.05, batchLater = 5, fairness = 0.1 } = options;
  const { sheds = true, preempts = false, mostWait = 600 } = options;
  /** Seconds of service by tenant, in units that grow as older ones are forgotten. */
  const served = new Map<string, number>();
  let all = 0;
  let unit = 1;
  let missed = 0;

  const after = (ticket: Ticket, { outlook }: Snapshot): number => (workflows ? outlook.secondsAfter(ticket) : 0);

  /** When its stage's workflow should be over. */
  function dueOf(ticket: Ticket, snapshot: Snapshot): number {
    const { program, stage, readyAt } = ticket;
    const own = dueAt(ticket);
    const due = Math.min(program.deadline, own === program.deadline ? Infinity : own + after(ticket, snapshot));
    return due === Infinity ? readyAt + IMPLIED[stage.class] : due;
  }

  function surplus({ workflow }: Program): number {
    if (served.size < 2) return 0;
    return Math.max(0, ((served.get(workflow.tenant) ?? 0) - all / served.size) / unit);
  }

  function noteService(tenant: string, seconds: number): void {
    unit /= FORGET;
    served.set(tenant, (served.get(tenant) ?? 0) + seconds * unit);
    all += seconds * unit;
    if (unit < 1e9) return;
    for (const [name, sum] of served) served.set(name, sum / unit);
    all /= unit;
    unit = 1;
  }

  function noteOutcome(late: boolean): void {
    missed += ((late ? 1 : 0) - missed) / RECENT;
  }

  function rank(ticket: Ticket, snapshot: Snapshot): Rank {
    const { outlook, now } = snapshot;
    const promoted = ticket.readyAt + mostWait;
    if (ticket.phase === 'queued' && now >= promoted) return { tier: -1, key: ticket.readyAt };
    const stage = outlook.stageSeconds(ticket);
    const due = dueOf(ticket, snapshot);
    const total = workflows ? outlook.workSeconds(ticket.program) : stage;
    // All in seconds, and without `now`, which is the same for all: so ranks stay true while time goes by.
    const key =
      due +
      work * total +
      ageing * ticket.readyAt +
      (ticket.stage.class === 'batch' ? batchLater : 0) +
      fairness * surplus(ticket.program);
    if (!demotes) return { tier: 0, key, until: promoted };
    const latest = due - Math.min(1, CALM + ALARM * missed) * (stage + after(ticket, snapshot));
    if (now > latest) return { tier: 1, key: total + ticket.readyAt, until: promoted };
    return { tier: 0, key, until: Math.min(promoted, latest + 1e-6) };
  }

  function replaces(waiting: Ticket, running: Ticket, snapshot: Snapshot): boolean {
    const mine = rank(waiting, snapshot);
    const theirs = rank(running, snapshot);
    if (mine.tier !== theirs.tier) return mine.tier < theirs.tier;
    // Only who would be late otherwise, and only in place of who has the time.
    const left = snapshot.outlook.stageSeconds(waiting) + after(waiting, snapshot);
    return mine.tier === 0 && dueOf(waiting, snapshot) - snapshot.now - left < 2 && theirs.key - mine.key > 20;
  }

  function whyLost(program: Program, ticket: Ticket, snapshot: Snapshot): string | undefined {
    if (program.deadline === Infinity || ticket.generated > 0) return undefined;
    const left = snapshot.outlook.leastSeconds(ticket);
    const late = snapshot.now + left - program.deadline;
    if (late <= 0) return undefined;
    return `its deadline cannot be met any more: at least ${left.toFixed(1)} s of service are left, ${late.toFixed(1)} s too many`;
  }

  return {
    name: 'maestro',
    ...(workflows && { followsProgram: 'ends' }),
    note(change: Change) {
      if (change.kind === 'shed') noteOutcome(true);
      if (change.kind !== 'ended') return;
      const { program } = change.ticket;
      noteService(program.workflow.tenant, change.seconds);
      if (program.state === 'ended') noteOutcome(program.lastEnd > program.deadline);
    },
    rank,
    ...(preempts && { preempts: replaces }),
    ...(sheds && { givesUp: whyLost }),
  };
}
