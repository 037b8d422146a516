/** The answer of one stage, from the nodes that make it to whoever reads it: chunks as they come, for any number of readers, each from the beginning. */
import type { TextChunk } from '../../llm/engine/text-engine.js';

export interface Answer extends AsyncIterable<TextChunk> {
  /** All of it, when it has ended. Rejects with what ended it. */
  text(): Promise<string>;
}

export interface OpenAnswer extends Answer {
  /** Whether a reader has taken any of it. */
  readonly taken: boolean;
  /** What there is of its text. */
  readonly soFar: string;
  push(chunk: TextChunk): void;
  end(): void;
  /** Only the first counts. */
  fail(error: unknown): void;
  /** Called once, when it has ended or failed. */
  whenOver(call: () => void): void;
  /** Forgets what nobody has taken. */
  restart(): void;
}

export function createAnswer(): OpenAnswer {
  let chunks: TextChunk[] = [];
  let taken = false;
  let over = false;
  let failure: { readonly error: unknown } | undefined;
  let waiting: (() => void)[] = [];
  const afterwards: (() => void)[] = [];
  const wake = (): void => {
    const all = waiting;
    waiting = [];
    for (const each of all) each();
  };
  const more = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));

  return {
    get taken() {
      return taken;
    },
    get soFar() {
      return chunks.map(({ text }) => text).join('');
    },
    push(chunk) {
      chunks.push(chunk);
      wake();
    },
    whenOver(call) {
      if (over || failure) call();
      else afterwards.push(call);
    },
    end() {
      over = true;
      for (const call of afterwards.splice(0)) call();
      wake();
    },
    fail(error) {
      if (over || failure) return;
      failure = { error };
      for (const call of afterwards.splice(0)) call();
      wake();
    },
    restart() {
      chunks = [];
    },
    async *[Symbol.asyncIterator]() {
      for (let at = 0; ;) {
        const chunk = chunks[at];
        if (chunk) {
          taken = true;
          at++;
          yield chunk;
        } else if (over) return;
        else if (failure) throw failure.error;
        else await more();
      }
    },
    async text() {
      while (!over && !failure) await more();
      if (failure) throw failure.error;
      return chunks.map(({ text }) => text).join('');
    },
  };
}
