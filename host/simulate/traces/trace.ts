/** What every trace becomes when it is read: calls of language models, grouped by the program (session, run, conversation) that made them. */
import { TuttiError } from '../../errors.js';

export interface TraceCall {
  /** The session, run or conversation. Its calls come in the order in which they were sent. */
  readonly program: string;
  /** Place among the calls of its program. */
  readonly index: number;
  /** What the call is for, where the trace says: a speaker, a kind of sub-agent. */
  readonly role?: string;
  /** The step of the workflow's plan that it belongs to. */
  readonly stage?: string;
  /** A sub-agent within the program, which has a prompt of its own. */
  readonly agent?: string;
  readonly model?: string;
  /** Seconds since the trace began, or since the program began: see `clock`. */
  readonly arrival: number;
  /** Seconds between the previous answer of the same agent and this call: a tool ran, or a person thought. */
  readonly gapSeconds?: number;
  /** Seconds that the call took where it was recorded. */
  readonly serviceSeconds?: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Tokens at the beginning of the prompt that an earlier call had as well, as far as the trace tells. */
  readonly sharedTokens?: number;
  /** KV blocks of the prompt as runs of ids: first, count, first, count, ... */
  readonly blocks?: Uint32Array;
  /** Whether the prompt brings a tool's result, and whether the answer called a tool; undefined where it is not recorded. */
  readonly bringsToolResult?: boolean;
  readonly callsTool?: boolean;
  readonly thinking?: boolean;
  /** Of the prompt: tokens of the system prompt, and of the definitions of tools. */
  readonly systemTokens?: number;
  readonly toolTokens?: number;
  readonly streamed?: boolean;
  /** What the answer held: 'text', 'thinking', 'tool_use'. */
  readonly answerKinds?: readonly string[];
}

export interface Trace {
  readonly name: string;
  /** Whether arrivals count from the beginning of the trace or of each program. */
  readonly clock: 'trace' | 'program';
  /** Tokens in a KV block; 0 where there are no block ids. */
  readonly blockSize: number;
  /** Whether equal block ids mean equal blocks within a program only, or everywhere. */
  readonly blockScope: 'program' | 'trace';
  /** By program; programs in the order of their first calls where there is a common clock. */
  readonly programs: readonly TraceProgram[];
}

export interface TraceProgram {
  readonly id: string;
  readonly calls: readonly TraceCall[];
}

export interface TraceOptions {
  /** For error messages. */
  readonly name?: string;
}

/** All calls by arrival, those at the same instant in the order of their programs. */
export function callsByArrival(trace: Trace): readonly TraceCall[] {
  return trace.programs.flatMap(({ calls }) => calls).sort((a, b) => a.arrival - b.arrival);
}

/** The ids that runs stand for, one by one. */
export function blockIds(runs: Uint32Array): Uint32Array {
  let count = 0;
  for (let k = 1; k < runs.length; k += 2) count += runs[k]!;
  const ids = new Uint32Array(count);
  let at = 0;
  for (let k = 0; k < runs.length; k += 2) for (let i = 0; i < runs[k + 1]!; i++) ids[at++] = runs[k]! + i;
  return ids;
}

/** Ids as runs. */
export function blockRuns(ids: readonly number[]): Uint32Array {
  const runs: number[] = [];
  for (const id of ids) {
    if (runs.length > 0 && id === runs.at(-2)! + runs.at(-1)!) runs[runs.length - 1]!++;
    else runs.push(id, 1);
  }
  return Uint32Array.from(runs);
}

export function traceError(name: string, line: number, what: string, cause?: unknown): TuttiError {
  return new TuttiError('FILE_INVALID', `${name}, line ${line}: ${what}`, {
    where: `${name}:${line}`,
    facts: { line },
    cause,
  });
}

/** Lines that are not empty, with their numbers from 1. A byte order mark and carriage returns are dropped. */
export function* linesOf(text: string): Generator<{ readonly line: number; readonly content: string }> {
  let [line, start] = [0, text.charCodeAt(0) === 0xfeff ? 1 : 0];
  while (start < text.length) {
    const found = text.indexOf('\n', start);
    const end = found < 0 ? text.length : found;
    const content = text.slice(start, end).trim();
    line++;
    if (content !== '') yield { line, content };
    start = end + 1;
  }
}

/** Fields of an untyped record, each checked. */
export interface RecordReader {
  readonly line: number;
  /** A whole number from 0 up. */
  count(field: string): number;
  /** Seconds, from 0 up. */
  seconds(field: string): number;
  optionalCount(field: string): number | undefined;
  optionalSeconds(field: string): number | undefined;
  text(field: string): string;
  optionalText(field: string): string | undefined;
  list(field: string): readonly unknown[];
  has(field: string): boolean;
  fail(what: string): TuttiError;
  /** A record within it. */
  within(value: unknown, where: string): RecordReader;
}

/** More tokens, blocks or seconds than any trace has: what is above is damage, and would cost memory. */
const MOST = 2 ** 31;

export function recordReader(name: string, line: number, value: unknown, where = ''): RecordReader {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw traceError(name, line, `${where || 'the line'} is not a JSON object`);
  }
  const record = value as Readonly<Record<string, unknown>>;
  const path = (field: string): string => (where ? `${where}.${field}` : field);
  const fail = (what: string): TuttiError => traceError(name, line, what);
  const shown = (found: unknown): string => (JSON.stringify(found) ?? 'nothing').slice(0, 60);
  const number = (field: string, whole: boolean): number => {
    const found = record[field];
    if (typeof found !== 'number' || !(found >= 0 && found <= MOST) || (whole && !Number.isInteger(found))) {
      throw fail(`${path(field)} must be a ${whole ? 'whole ' : ''}number from 0 up, found ${shown(found)}`);
    }
    return found;
  };
  const text = (field: string): string => {
    const found = record[field];
    if (typeof found !== 'string') throw fail(`${path(field)} must be a text, found ${shown(found)}`);
    return found;
  };
  const has = (field: string): boolean => record[field] !== undefined && record[field] !== null;
  return {
    line,
    count: (field) => number(field, true),
    seconds: (field) => number(field, false),
    optionalCount: (field) => (has(field) ? number(field, true) : undefined),
    optionalSeconds: (field) => (has(field) ? number(field, false) : undefined),
    text,
    optionalText: (field) => (has(field) ? text(field) : undefined),
    list(field) {
      const found = record[field];
      if (!Array.isArray(found)) throw fail(`${path(field)} must be a list, found ${shown(found)}`);
      return found as readonly unknown[];
    },
    has,
    fail,
    within: (inner, at) => recordReader(name, line, inner, path(at)),
  };
}

/** One record a line. @throws TuttiError FILE_INVALID at a line that is not JSON */
export function* jsonLines(text: string, name: string): Generator<RecordReader> {
  for (const { line, content } of linesOf(text)) {
    let value: unknown;
    try {
      value = JSON.parse(content);
    } catch (cause) {
      throw traceError(name, line, `not JSON (${content.slice(0, 40)}...)`, cause);
    }
    yield recordReader(name, line, value);
  }
}
