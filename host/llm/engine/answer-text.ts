/** Text of an answer as its tokens come: whole characters, and nothing of the text that ends it. */
import { textStream, type Tokenizer } from '../tokenizer/tokenizer.js';

export interface SaidText {
  /** What can be said now. */
  readonly text: string;
  /** A stop text was met. */
  readonly stopped: boolean;
}

/** Holds text back that may be the beginning of a stop text. */
export function stopWatch(stop: readonly string[]): (more: string, last: boolean) => SaidText {
  let held = '';
  return (more, last) => {
    held += more;
    const cut = Math.min(...stop.map((text) => held.indexOf(text)).filter((at) => at >= 0));
    if (cut !== Infinity) return { text: held.slice(0, cut), stopped: true };
    const keep = last ? 0 : Math.max(0, ...stop.map((text) => overlap(held, text)));
    const text = held.slice(0, held.length - keep);
    held = held.slice(held.length - keep);
    return { text, stopped: false };
  };
}

export interface AnswerText {
  next(token: number, last: boolean): SaidText;
}

export function answerText(tokenizer: Tokenizer, stop: readonly string[]): AnswerText {
  const stream = textStream(tokenizer);
  const watch = stopWatch(stop);
  return { next: (token, last) => watch(stream.next(token) + (last ? stream.end() : ''), last) };
}

/** Length of the longest end of `text` that `stop` begins with. */
export function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
