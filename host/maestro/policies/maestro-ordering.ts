/**
 * Maestro's order over all workflows. What can still be met comes first; among it, what frees the cluster soonest for the time that it has left. A deadline
 * that cannot be met any more gives way, and when even an idle cluster could not meet it, the workflow is given up and its caller told. Who waits gains
 * on everybody else all the time, so nothing that is admitted waits for ever.
 */
import type { Program, Snapshot, Ticket } from '../decision.js';
import type { Rank } from '../rank-heap.js';
import type { Ordering } from './levels.js';
import { dueAt } from './ordering.js';

export interface MaestroOrderingOptions {
  /** Looks at what is left of the whole workflow, not of the stage alone. Default true. */
  readonly workflows?: boolean;
  /** Weight of work left against time left. Default 1.5. */
  readonly work?: number;
  /** Seconds of advantage that a second of waiting gives. Default 0.05. */
  readonly ageing?: number;
  /** Seconds by which batch stages come later than interactive ones. Default 5. */
  readonly batchLater?: number;
  /** Part of its surplus over a fair share, in seconds of service, by which a tenant's stages come later. Default 0.1. */
  readonly fairness?: number;
  /** Gives up what cannot be met any more. Default true. */
  readonly sheds?: boolean;
  /** Lets urgent stages take the place of those that can wait. Default false: what a pause costs was more than it gained on every workload tried. */
  readonly preempts?: boolean;
  /** Seconds after which a stage goes before everything else. Default 600. */
  readonly mostWait?: number;
}

/** What has no deadline is treated as if it had one so many seconds after it could start, by class. */
const IMPLIED = { interactive: 120, batch: 900 } as const;

export function maestroOrdering(options: MaestroOrderingOptions = {}): Ordering {
  const { workflows = true, work = 1.5, ageing = 0.05, batchLater = 5, fairness = 0.1 } = options;
  const { sheds = true, preempts = false, mostWait = 600 } = options;
  /** Seconds of service by tenant, and the average of those that are active. */
  const served = new Map<string, number>();
  let all = 0;

  const after = (ticket: Ticket, { outlook }: Snapshot): number => (workflows ? outlook.secondsAfter(ticket) : 0);

  /** When its stage has to have ended for its workflow to be in time. */
  function dueOf(ticket: Ticket, snapshot: Snapshot): number {
    const { program, stage, readyAt } = ticket;
    const own = dueAt(ticket);
    const due = Math.min(program.deadline, own === program.deadline ? Infinity : own + after(ticket, snapshot));
    return due === Infinity ? readyAt + IMPLIED[stage.class] : due;
  }

  function surplus({ workflow }: Program): number {
    const mean = served.size === 0 ? 0 : all / served.size;
    return Math.max(0, (served.get(workflow.tenant) ?? 0) - mean);
  }

  function rank(ticket: Ticket, snapshot: Snapshot): Rank {
    const { outlook, now } = snapshot;
    const promoted = ticket.readyAt + mostWait;
    if (ticket.phase === 'queued' && now >= promoted) return { tier: -1, key: ticket.readyAt };
    const stage = outlook.stageSeconds(ticket);
    const left = stage + after(ticket, snapshot);
    const latest = dueOf(ticket, snapshot) - left;
    const total = workflows ? outlook.workSeconds(ticket.program) : stage;
    // Both are in seconds; `now` is the same for all and left out, which is what makes ranks stay true while time goes by.
    const key =
      latest +
      work * total +
      ageing * ticket.readyAt +
      (ticket.stage.class === 'batch' ? batchLater : 0) +
      fairness * surplus(ticket.program);
    if (now > latest) return { tier: 1, key: work * total + ticket.readyAt, until: promoted };
    return { tier: 0, key, until: Math.min(promoted, latest + 1e-6) };
  }

  return {
    name: 'maestro',
    followsProgram: workflows,
    note(change) {
      if (change.kind !== 'ended') return;
      const { tenant } = change.ticket.program.workflow;
      const seconds = Math.max(0, change.tokens) * 0.01;
      served.set(tenant, (served.get(tenant) ?? 0) + seconds);
      all += seconds;
    },
    rank,
    ...(preempts && {
      preempts(waiting: Ticket, running: Ticket, snapshot: Snapshot): boolean {
        const mine = rank(waiting, snapshot);
        const theirs = rank(running, snapshot);
        if (mine.tier !== theirs.tier) return mine.tier < theirs.tier;
        // Only who would be late otherwise, and only in place of who has the time.
        const slack =
          dueOf(waiting, snapshot) - snapshot.now - snapshot.outlook.stageSeconds(waiting) - after(waiting, snapshot);
        return mine.tier === 0 && slack < 2 && theirs.key - mine.key > 20;
      },
    }),
    ...(sheds && {
      givesUp(program: Program, ticket: Ticket, snapshot: Snapshot): string | undefined {
        if (program.deadline === Infinity || ticket.generated > 0) return undefined;
        const left = snapshot.outlook.leastSeconds(ticket);
        const late = snapshot.now + left - program.deadline;
        if (late <= 0) return undefined;
        return `its deadline cannot be met any more: about ${left.toFixed(1)} s of service are left at the least, ${late.toFixed(1)} s too many`;
      },
    }),
  };
}
