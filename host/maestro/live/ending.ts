/** How stages and workflows come to an end other than by answering: given up, cancelled, without a parent's answer, shed by the policy. */
import { WorkflowShedError } from '../../errors.js';
import type { Book, OpenProgram } from '../book.js';
import type { Change } from '../decision.js';
import type { OpenOutlook } from '../outlook.js';
import type { Job } from './job.js';
import type { LiveNode } from './live-node.js';
import { withoutParent, workflowOver, type LiveProgram } from './live-program.js';

export interface Ending {
  readonly ended: number;
  readonly shed: number;
  /** Ends a stage, and all that wait for it. */
  giveUp(live: LiveProgram, id: string, error: unknown): void;
  /** Ends a workflow that cannot be met. False when there is no such. */
  shedProgram(program: OpenProgram, reason: string): boolean;
  /** Closes a workflow when all of it has ended and no more will come. */
  settle(live: LiveProgram): void;
}

export interface EndingParts {
  readonly book: Book;
  readonly outlook: OpenOutlook;
  readonly nodes: readonly LiveNode[];
  readonly jobs: Map<number, Job>;
  readonly lives: Map<number, LiveProgram>;
  readonly now: () => number;
  push(change: Change): void;
}

export function createEnding({ book, outlook, nodes, jobs, lives, now, push }: EndingParts): Ending {
  const counts = { ended: 0, shed: 0 };

  function stop(job: Job): void {
    job.done = true;
    for (const node of nodes) node.drop(job);
    jobs.delete(job.ticket.number);
  }

  function endStage(live: LiveProgram, id: string, error: unknown): void {
    const { plan, record } = live.plans.get(id)!;
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
      if (job) stop(job);
      // Who never could run is not known to the policy.
      if (ticket.phase !== 'known')
        push({ kind: 'ended', ticket, node, tokens: ticket.generated, seconds: job?.served ?? 0 });
      ticket.phase = 'ended';
      ticket.tokens = record.tokens = ticket.generated;
      program.active--;
      program.lastEnd = now();
    } else program.waiting.delete(id);
    program.version++;
    plan.answer.fail(error);
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

  const ending: Ending = {
    get ended() {
      return counts.ended;
    },
    get shed() {
      return counts.shed;
    },
    giveUp(live, id, error) {
      const open = (stage: string): boolean => live.plans.get(stage)?.record.endedAt === undefined;
      const list: [string, unknown][] = live.plans.has(id) ? [[id, error]] : [];
      for (let next = list.pop(); next; next = list.pop()) {
        const [stage, why] = next;
        if (!open(stage)) continue;
        endStage(live, stage, why);
        for (const child of live.program.workflow.childrenOf(stage))
          list.push([child.id, withoutParent(child.id, stage, why)]);
      }
      ending.settle(live);
    },
    shedProgram(program, reason) {
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
      push({ kind: 'shed', program });
      forget(live, 'shed');
      return true;
    },
    settle(live) {
      const { program } = live;
      if (!live.complete || live.open > 0 || program.state !== 'open') return;
      program.state = live.spoiled ? 'shed' : 'ended';
      if (!live.spoiled) counts.ended++;
      const last = [...program.tickets.values()].at(-1);
      // Said once more now that its workflow is over, so that policies forget that.
      if (last) push({ kind: 'ended', ticket: last, node: Math.max(0, last.node), tokens: last.tokens, seconds: 0 });
      forget(live, program.state);
    },
  };
  return ending;
}
