/**
 * What workflows still need. Stages that are known are counted by their predictions; what agents have not decided yet by what followed the same step of
 * earlier workflows of the same application. Seconds are those of a node at its usual load, as they were measured.
 */
import { addTo, emptyFit, predictFrom, type Fit } from './deadline-fit.js';
import { sharedTokens, type OpenProgram, type OpenTicket } from './book.js';
import type { Outlook, Program, Ticket } from './decision.js';
import type { Stage } from './workflow.js';

export interface StageRates {
  /** Seconds that a token of an answer takes, and that one of a prompt takes, by model. */
  readonly secondsPerToken: number[];
  readonly secondsPerPromptToken: number[];
}

export interface OpenOutlook extends Outlook {
  readonly rates: StageRates;
  /** Says what decoding took of late. */
  noteDecoding(model: number, tokens: number, seconds: number): void;
  /** Learns from a workflow that ended. */
  learn(program: OpenProgram): void;
  /** What is remembered of a stage when it can run: how much was known to follow. */
  opened(ticket: OpenTicket): void;
}

/** Replaces what is learned by what will be. */
export interface Foresight {
  secondsAfter(ticket: Ticket, seconds: (stage: Stage, tokens: number) => number): number;
  workSeconds(program: Program, seconds: (stage: Stage, tokens: number) => number): number;
}

interface Seen {
  count: number;
  path: number;
  work: number;
}

interface Opened {
  readonly ticket: OpenTicket;
  readonly keys: readonly string[];
  /** Stages that were known then. */
  readonly known: number;
  readonly open: boolean;
}

/** What is known of a program that has not ended, as of the last time that it grew; what becomes of single stages changes it piece by piece. */
interface Ahead {
  readonly version: number;
  /** Longest chain after a stage. */
  readonly after: Map<string, number>;
  /** Seconds of stages that wait for their parents, and all of them together. */
  readonly waiting: Map<string, number>;
  waitingSeconds: number;
  /** Those that can run; those that have ended go when somebody looks. */
  readonly open: Set<OpenTicket>;
}

/** Of prompt tokens that others begin with too, how many are computed again all the same. */
const MISSED = 0.1;
const RATE_WEIGHT = 0.02;
/** Workflows that an average must have seen to count as much as the next wider one. */
const SHRINK = 4;
/** Workflows of an application after which its deadlines tell something. */
const LEAST_FIT = 20;
/** Of known stages, the least that they may turn out to take. */
const LEAST_AFTER = 0.5;

export function createOutlook(
  rates: StageRates,
  modelIndex: ReadonlyMap<string, number>,
  foresight?: Foresight,
): OpenOutlook {
  const seen = new Map<string, Seen>();
  const memory = new Map<number, Opened[]>();
  const ahead = new Map<number, Ahead>();

  /** Nothing is learned for a policy that never asks. */
  let asked = false;

  const seconds = (stage: Stage, tokens: number): number => {
    const model = modelIndex.get(stage.model)!;
    const shared = Math.min(stage.promptTokens, sharedTokens(stage));
    const prompt = stage.promptTokens - (1 - MISSED) * shared;
    return prompt * rates.secondsPerPromptToken[model]! + tokens * rates.secondsPerToken[model]!;
  };

  /** Keys from narrow to wide. */
  const keysOf = (ticket: OpenTicket): readonly string[] => {
    const { program, stage } = ticket;
    const app = program.workflow.application;
    const calls = program.roles.get(stage.role)?.calls ?? 0;
    const step = calls < 4 ? calls : 3 + Math.floor(Math.log2(calls - 2));
    return [`${app}/${stage.role}/${step}`, `${app}/${stage.role}`, app, ''];
  };

  /** Average of what followed: each key shrunk to the next wider one. */
  function expected(keys: readonly string[]): { path: number; work: number } {
    let path = 0;
    let work = 0;
    for (let k = keys.length - 1; k >= 0; k--) {
      const own = seen.get(keys[k]!);
      if (!own) continue;
      const weight = own.count / (own.count + (k === keys.length - 1 ? 0 : SHRINK));
      path += weight * (own.path / own.count - path);
      work += weight * (own.work / own.count - work);
    }
    return { path, work };
  }

  const tokensOf = (program: OpenProgram, stage: Stage): number => {
    const ticket = program.tickets.get(stage.id);
    if (!ticket) return Math.min(stage.maxTokens, roleMean(program, stage));
    return ticket.phase === 'ended' ? ticket.tokens : Math.min(stage.maxTokens, ticket.prediction.mean);
  };

  /** Of stages that cannot run yet, the mean of their role is all that is known. */
  const roleTokens = new Map<string, { count: number; tokens: number }>();
  const roleKey = (program: OpenProgram, stage: Stage): string => `${program.workflow.application}/${stage.role}`;
  function roleMean(program: OpenProgram, stage: Stage): number {
    const known = roleTokens.get(roleKey(program, stage));
    return known ? known.tokens / known.count : 256;
  }

  function aheadOf(program: OpenProgram): Ahead {
    const known = ahead.get(program.number);
    if (known?.version === program.version) return known;
    const waiting = new Map<string, number>();
    let waitingSeconds = 0;
    for (const id of program.waiting.keys()) {
      const stage = program.workflow.stages.get(id)!;
      const own = seconds(stage, tokensOf(program, stage));
      waiting.set(id, own);
      waitingSeconds += own;
    }
    const open = new Set([...program.tickets.values()].filter(({ phase }) => phase !== 'ended'));
    const found = { ...{ version: program.version, after: new Map<string, number>(), waiting, waitingSeconds, open } };
    ahead.set(program.number, found);
    return found;
  }

  /** Chains of known stages after a stage. */
  function knownAfter(program: OpenProgram, id: string): number {
    const { after } = aheadOf(program);
    // Children before their parents, without recursion: a chain may have thousands of stages.
    for (const open = [id]; open.length > 0;) {
      const at = open.at(-1)!;
      if (after.has(at)) {
        open.pop();
        continue;
      }
      const children = program.workflow.childrenOf(at);
      const unknown = children.filter((child) => !after.has(child.id));
      if (unknown.length > 0) {
        for (const child of unknown) open.push(child.id);
        continue;
      }
      let longest = 0;
      for (const child of children) {
        const length = child.toolSeconds + seconds(child, tokensOf(program, child)) + after.get(child.id)!;
        if (length > longest) longest = length;
      }
      after.set(at, longest);
      open.pop();
    }
    return after.get(id)!;
  }

  /**
   * Callers who give deadlines have an idea of how long things take: how closely service follows deadlines is learned by application (a line through
   * logarithms), and counts for as much as it explains.
   */
  const fits = new Map<string, Fit>();
  function byDeadline(program: OpenProgram, what: 'path' | 'work'): { seconds: number; trust: number } | undefined {
    const fit = fits.get(program.workflow.application);
    const asked = program.deadline - program.workflow.arrival;
    if (!fit || fit.count < LEAST_FIT || asked === Infinity) return undefined;
    return predictFrom(fit, what, Math.log(asked));
  }

  /** What is expected to follow a stage that nothing is known to follow. */
  function unknownAfter(ticket: OpenTicket): number {
    const { path } = expected(keysOf(ticket));
    const told = byDeadline(ticket.program, 'path');
    if (!told) return path;
    const before = ticket.readyAt - ticket.program.workflow.arrival;
    const served = Math.min(before, ticket.program.attainedSeconds);
    const own = outlook.stageSeconds(ticket);
    return (1 - told.trust) * path + told.trust * Math.max(0, told.seconds - served - own);
  }

  const outlook: OpenOutlook = {
    rates,
    stageSeconds(ticket) {
      const { stage, generated, prediction } = ticket;
      const { mean } = prediction;
      // Who has outlived the prediction goes on for about as long again as a part of what it has.
      const left = mean > generated ? mean - generated : Math.max(16, 0.25 * generated);
      const tokens = Math.min(stage.maxTokens - generated, left);
      return generated > 0 ? tokens * rates.secondsPerToken[ticket.model]! : seconds(stage, tokens);
    },
    secondsAfter(ticket) {
      if (foresight) return foresight.secondsAfter(ticket, seconds);
      asked = true;
      const open = ticket as OpenTicket;
      const known = knownAfter(open.program, open.stage.id);
      return known > 0 ? known : unknownAfter(open);
    },
    workSeconds(program) {
      if (foresight) return foresight.workSeconds(program, seconds);
      asked = true;
      const open = program as OpenProgram;
      const known = aheadOf(open);
      let work = known.waitingSeconds;
      let last: OpenTicket | undefined;
      for (const ticket of known.open) {
        if (ticket.phase === 'ended') {
          known.open.delete(ticket);
          continue;
        }
        last = ticket;
        work += outlook.stageSeconds(ticket);
      }
      if (last) work += expected(keysOf(last)).work;
      const told = byDeadline(open, 'work');
      if (!told) return work;
      return (1 - told.trust) * work + told.trust * Math.max(0.2 * work, told.seconds - open.attainedSeconds);
    },
    leastSeconds(ticket) {
      const { stage, generated, prediction, program } = ticket as OpenTicket;
      if (foresight) return 0.9 * (outlook.stageSeconds(ticket) + outlook.secondsAfter(ticket));
      const tokens = Math.max(1, Math.min(stage.maxTokens, prediction.quantile(0.1)) - generated);
      return 0.5 * (tokens * rates.secondsPerToken[ticket.model]! + LEAST_AFTER * knownAfter(program, stage.id));
    },
    noteDecoding(model, tokens, took) {
      if (!(tokens > 0 && took > 0)) return;
      rates.secondsPerToken[model]! += RATE_WEIGHT * (took / tokens - rates.secondsPerToken[model]!);
    },
    opened(ticket) {
      if (!asked) return;
      const known = ahead.get(ticket.program.number);
      if (known) {
        known.waitingSeconds -= known.waiting.get(ticket.stage.id) ?? 0;
        known.waiting.delete(ticket.stage.id);
        known.open.add(ticket);
      }
      const list = memory.get(ticket.program.number);
      const entry = {
        ...{ ticket, keys: keysOf(ticket), known: ticket.program.workflow.stages.size },
        open: ticket.program.workflow.childrenOf(ticket.stage.id).length === 0,
      };
      if (list) list.push(entry);
      else memory.set(ticket.program.number, [entry]);
    },
    learn(program) {
      if (!asked) return;
      const list = memory.get(program.number) ?? [];
      memory.delete(program.number);
      ahead.delete(program.number);
      if (program.state === 'open') return;
      const stages = [...program.workflow.stages.values()];
      // Of one that was given up only a part was seen: the rest is what it was expected to be. Left out, only the short ones would be learned from.
      const cut = program.state === 'shed';
      let rest = { path: 0, work: 0 };
      if (cut) {
        const unended = list.filter(({ ticket, open }) => open && ticket.tokens === 0);
        if (unended.length > 0) rest = expected(unended.at(-1)!.keys);
      }
      const took = stages.map((stage) => seconds(stage, tokensOf(program, stage)));
      // Work of the stages from the k-th on.
      const from = new Float64Array(stages.length + 1);
      from[stages.length] = rest.work;
      for (let k = stages.length - 1; k >= 0; k--) from[k] = from[k + 1]! + took[k]!;
      for (const stage of stages) {
        const tokens = program.tickets.get(stage.id)?.tokens ?? 0;
        if (cut && tokens === 0) continue;
        const key = roleKey(program, stage);
        const role = roleTokens.get(key);
        if (role) {
          role.count++;
          role.tokens += tokens;
        } else roleTokens.set(key, { count: 1, tokens });
      }
      const wanted = program.deadline - program.workflow.arrival;
      if (wanted < Infinity) {
        let longest = 0;
        for (const stage of stages) {
          if (stage.parents.length > 0) continue;
          const own = took[stage.index]! + knownAfter(program, stage.id);
          if (own > longest) longest = own;
        }
        let fit = fits.get(program.workflow.application);
        if (!fit) fits.set(program.workflow.application, (fit = emptyFit()));
        addTo(fit, Math.log(wanted), Math.log(longest + rest.path + 1e-3), Math.log(from[0]! + 1e-3));
      }
      for (const { ticket, keys, known, open } of list) {
        if (cut && ticket.tokens === 0) continue;
        const path = open ? knownAfter(program, ticket.stage.id) + rest.path : 0;
        for (const key of keys) {
          const entry = seen.get(key);
          if (!entry) seen.set(key, { count: 1, path, work: from[known]! });
          else {
            entry.count++;
            entry.path += path;
            entry.work += from[known]!;
          }
        }
      }
      ahead.delete(program.number);
    },
  };
  return outlook;
}
