/** When a policy is asked: soon after something happened, again while it acts, and every second at least while stages are under way. */
import { TuttiError } from '../../errors.js';
import { nextTurn } from '../../llm/batching/turn.js';
import type { Action, Change, Policy, Snapshot } from '../decision.js';
import type { LiveNode, Open } from './live-node.js';

export interface DecisionLoop {
  readonly decisions: number;
  /** Something happened; the policy hears of it with the next decision, which is soon. */
  push(change: Change): void;
  /** At once, from within a call of a node's: its actions are the caller's to do. */
  ask(): readonly Action[];
  /** After a refusal: a little later than policies leave a node alone. */
  again(): void;
  /** Nothing is decided before. */
  start(): void;
  stop(): void;
}

export interface DecisionLoopOptions {
  readonly policy: Policy;
  readonly nodes: readonly LiveNode[];
  readonly snapshot: Omit<Snapshot, 'now' | 'changes'>;
  readonly now: () => number;
  /** False when nothing came of it. */
  apply(action: Action): boolean;
  /** Whether there is anything to decide about. */
  busy(): boolean;
  /** Decisions have been taken. */
  decided(): void;
  /** The policy itself failed. */
  failed(error: unknown): void;
}

const TICK_MS = 1000;
const AGAIN_MS = 300;
/** Rounds of decisions in a row; more means that a policy goes round in circles. */
const MOST_ROUNDS = 10_000;

export function createDecisionLoop(options: DecisionLoopOptions): DecisionLoop {
  const { policy, nodes, now, apply, busy, decided, failed } = options;
  const snapshot: Open<Snapshot> = { ...options.snapshot, now: now(), changes: [] };
  let changes: Change[] = [];
  let decisions = 0;
  let running = false;
  let deciding = false;
  let woken = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function ask(): readonly Action[] {
    for (const node of nodes) node.refresh();
    snapshot.now = now();
    snapshot.changes = changes;
    changes = [];
    decisions++;
    return policy.decide(snapshot);
  }

  function decide(): void {
    woken = false;
    if (!running || deciding) return;
    deciding = true;
    try {
      for (let round = 0; changes.length > 0 || round > 0; round++) {
        const actions = ask();
        let effect = false;
        for (const action of actions) effect = apply(action) || effect;
        if (!effect && changes.length === 0) break;
        if (round > MOST_ROUNDS) {
          throw new TuttiError('LIMIT_EXCEEDED', `it does not come to an end after ${MOST_ROUNDS} actions in a row`, {
            where: 'policy',
          });
        }
      }
    } catch (error) {
      failed(error);
    } finally {
      deciding = false;
    }
    decided();
    tick(TICK_MS);
  }

  function wake(): void {
    if (woken || !running) return;
    woken = true;
    // Others' turn first: a policy that never comes to rest must not keep everybody else from theirs.
    void nextTurn().then(decide);
  }

  function tick(ms: number): void {
    if (!running || !busy() || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      changes.push({ kind: 'time' });
      decide();
    }, ms);
  }

  return {
    get decisions() {
      return decisions;
    },
    push(change) {
      changes.push(change);
      wake();
    },
    ask,
    again() {
      clearTimeout(timer);
      timer = undefined;
      tick(AGAIN_MS);
    },
    start() {
      running = true;
      if (changes.length > 0) wake();
    },
    stop() {
      running = false;
      clearTimeout(timer);
    },
  };
}
