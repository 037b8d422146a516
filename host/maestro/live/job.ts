/** A stage as the live nodes know it: what was asked, and what is there of its answer, wherever it ran so far. */
import { TuttiError } from '../../errors.js';
import type { GeneratedToken } from '../../llm/engine/engine.js';
import type { TextChunk, TextRequest } from '../../llm/engine/text-engine.js';
import type { OpenTicket } from '../book.js';
import type { OpenAnswer } from './answer.js';
import { leaveOut } from './leave-out.js';

export interface Job {
  readonly ticket: OpenTicket;
  /** Without signal, metadata and prompt where `tokens` has that. */
  request: TextRequest;
  /** The prompt, where the model's tokenizer is at hand. */
  tokens: readonly number[] | undefined;
  readonly answer: OpenAnswer;
  /** The answer's tokens, as long as every chunk said its token; its text, and how many chunks it came in. */
  answered: Omit<GeneratedToken, 'text'>[] | undefined;
  text: string;
  chunks: number;
  /** Tokens of the whole answer, where its end said so. */
  answerTokens: number | undefined;
  /** Of an answer that is made anew, what was read of the old one and is not said again. */
  behind: string;
  /** Keys and values on their way from another node. */
  moving: Promise<Uint8Array | undefined> | undefined;
  /** Tokens of its answer that memory is set aside for, as it was last admitted. */
  reserveTokens: number;
  /** Seconds on nodes. */
  served: number;
  firstTokenAt: number;
  cachedTokens: number;
  /** Nodes that failed under it. */
  failures: number;
  done: boolean;
}

export function createJob(
  ticket: OpenTicket,
  request: TextRequest,
  tokens: readonly number[] | undefined,
  answer: OpenAnswer,
): Job {
  return {
    ...{ ticket, request, tokens, answer, answered: [], text: '', chunks: 0, behind: '', answerTokens: undefined },
    ...{ moving: undefined, reserveTokens: 0, served: 0, firstTokenAt: -1, cachedTokens: 0, failures: 0, done: false },
  };
}

/** Before an answer begins anew, without its earlier tokens. What nobody has read is forgotten. */
export function beginAnew(job: Job): void {
  if (job.answer.taken) job.behind = job.text;
  else {
    job.answer.restart();
    job.behind = '';
  }
  Object.assign(job, { text: '', answered: [], chunks: 0 });
}

/**
 * Notes a chunk and hands it to the readers; of what they have read already, nothing.
 * @throws TuttiError DEVICE_FAILED when an answer that was begun anew goes another way than what was read of it
 */
export function takeChunk(job: Job, chunk: TextChunk): void {
  const { token } = chunk;
  if (token === undefined) job.answered = undefined;
  else job.answered?.push({ ...leaveOut(chunk, 'text', 'finish', 'usage', 'toolCalls'), token });
  job.text += chunk.text;
  job.answerTokens = chunk.usage?.completionTokens;
  job.chunks++;
  if (job.behind === '') return job.answer.push(chunk);
  const { text, behind } = job;
  if (text.length >= behind.length ? !text.startsWith(behind) : !behind.startsWith(text)) {
    throw new TuttiError(
      'DEVICE_FAILED',
      `the node that answered was lost, and asked again the model answers differently; ask again, with a seed`,
      { where: job.ticket.stage.id },
    );
  }
  if (text.length < behind.length && !chunk.finish) return;
  job.behind = '';
  job.answer.push({ ...chunk, text: text.slice(Math.min(text.length, behind.length)) });
}
