/**
 * Calls of tools in the text of an answer, as the common families of models write them: `<tool_call>{...}</tool_call>` (Hermes, Qwen), a JSON
 * object that is the whole answer (Llama 3), `[TOOL_CALLS]` and a JSON list (Mistral). What turns out to be none comes out as text.
 */
import { randomBytes } from 'node:crypto';
import { overlap } from '../llm/engine/answer-text.js';
import type { ToolCall } from '../llm/engine/text-engine.js';

export interface ToolCallReader {
  /** @returns what of the text so far is certainly text, and the calls that are whole */
  push(text: string): { readonly text: string; readonly calls: readonly ToolCall[] };
  end(): { readonly text: string; readonly calls: readonly ToolCall[] };
}

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';
const LIST = '[TOOL_CALLS]';
/** In front of Llama 3's JSON. */
const PYTHON = '<|python_tag|>';

export function toolCallReader(tools: ReadonlySet<string>): ToolCallReader {
  let held = '';
  /**
   * What is being read: nothing but space since the beginning or the last call, which then is no text; text; a tagged call; or JSON up to
   * the end.
   */
  let state: 'space' | 'text' | 'tagged' | 'json' = 'space';
  let beginning = true;

  /** One step over `held`; undefined when more has to come. */
  function step(last: boolean): { text: string; calls: readonly ToolCall[] } | undefined {
    if (state === 'space') {
      const begun = held.trimStart();
      const marks = beginning ? [OPEN, LIST, PYTHON] : [OPEN, LIST];
      if (!last && marks.some((mark) => begun.length < mark.length && mark.startsWith(begun))) return undefined;
      if (begun.startsWith(OPEN)) state = 'tagged';
      else if (begun.startsWith(LIST) || (beginning && /^(\{|\[|<\|python_tag\|>)/.test(begun))) state = 'json';
      else state = 'text';
      if (state === 'tagged' || (!beginning && begun === '')) held = begun;
      beginning = false;
      return { text: '', calls: [] };
    }
    if (state === 'json') {
      // Whether it is a call shows when it is whole.
      if (!last) return undefined;
      const calls = callsOf(held, tools);
      const text = calls ? '' : held;
      held = '';
      return { text, calls: calls ?? [] };
    }
    if (state === 'tagged') {
      const end = held.indexOf(CLOSE);
      if (end < 0 && !last) return undefined;
      const inside = held.slice(OPEN.length, end < 0 ? undefined : end);
      const whole = end < 0 ? held : held.slice(0, end + CLOSE.length);
      held = held.slice(whole.length);
      const calls = callsOf(inside, tools);
      state = calls ? 'space' : 'text';
      return { text: calls ? '' : whole, calls: calls ?? [] };
    }
    const [at, mark] = first(held, [OPEN, LIST]);
    if (mark !== undefined) {
      const text = held.slice(0, at);
      held = held.slice(at);
      state = mark === OPEN ? 'tagged' : 'json';
      return { text, calls: [] };
    }
    const keep = last ? 0 : Math.max(overlap(held, OPEN), overlap(held, LIST));
    const text = held.slice(0, held.length - keep);
    held = held.slice(held.length - keep);
    return text === '' ? undefined : { text, calls: [] };
  }

  function read(last: boolean): { text: string; calls: readonly ToolCall[] } {
    let text = '';
    const calls: ToolCall[] = [];
    while (held !== '') {
      const found = step(last);
      if (!found) break;
      text += found.text;
      calls.push(...found.calls);
    }
    return { text, calls };
  }

  return {
    push(text) {
      held += text;
      return read(false);
    },
    end: () => read(true),
  };
}

/** The calls that a piece of text is, or undefined when it is something else. */
function callsOf(text: string, tools: ReadonlySet<string>): readonly ToolCall[] | undefined {
  let rest = text.trim();
  for (const mark of [PYTHON, LIST]) if (rest.startsWith(mark)) rest = rest.slice(mark.length).trim();
  // Newer Mistral models: name, then arguments, with or without a mark between.
  const named = /^([\w.-]+)(?:\[ARGS\])?\s*(\{[\s\S]*\})$/.exec(rest);
  if (named) {
    const args = parsed(named[2]!);
    return args !== undefined && tools.has(named[1]!) ? [call(named[1]!, args)] : undefined;
  }
  const whole = parsed(rest);
  const list = Array.isArray(whole)
    ? (whole as unknown[])
    : whole !== undefined
      ? [whole]
      : rest.split(/;\s*(?=\{)/).map(parsed); // several calls of Llama 3
  const calls: ToolCall[] = [];
  for (const item of list) {
    if (typeof item !== 'object' || item === null) return undefined;
    const { name, arguments: args, parameters } = item as Record<string, unknown>;
    if (typeof name !== 'string' || !tools.has(name)) return undefined;
    calls.push(call(name, args ?? parameters ?? {}));
  }
  return calls.length > 0 ? calls : undefined;
}

const call = (name: string, args: unknown): ToolCall => ({
  id: `call_${randomBytes(12).toString('hex')}`,
  name,
  arguments: typeof args === 'string' ? args : JSON.stringify(args),
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function first(text: string, marks: readonly string[]): readonly [number, string | undefined] {
  let best: readonly [number, string | undefined] = [-1, undefined];
  for (const mark of marks) {
    const at = text.indexOf(mark);
    if (at >= 0 && (best[1] === undefined || at < best[0])) best = [at, mark];
  }
  return best;
}
