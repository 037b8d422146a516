/**
 * One end of the two streams of words of a session: data frames are numbered, kept until they are acknowledged, sent again when they
 * are not, and taken in order, each once. It outlives the byte link that it is attached to, so a session goes on over a new one as if
 * nothing had happened. Credit (`limit`) bounds what is on its way; nothing else has to be bounded.
 */
import type { TuttiError } from '../errors.js';
import { encodeFrame, type Frame } from './frame.js';
import type { ByteLink } from './machine-link.js';
import { MAX_PAYLOAD_WORDS, TIMING, WINDOW_FRAMES } from './protocol.js';

export type Timing = { readonly [K in keyof typeof TIMING]: number };

export interface ReliableStream {
  /** @throws what the stream ended with */
  send(words: Uint32Array): Promise<void>;
  /** All words that have arrived, at least one. @throws what the stream ended with, once everything has been received */
  receive(): Promise<Uint32Array>;
  /** Sends and hears over this link from now on; what is not acknowledged is sent again. `onSilence`: nothing was heard for too long. */
  attach(link: ByteLink, onSilence: () => void): void;
  detach(): void;
  /** Takes a frame of this session that came over the attached link; the caller looks at the types that are its own. */
  take(frame: Frame): void;
  /** Sends a frame that is not data, with this end's acknowledgement and credit. */
  post(type: Frame['type'], sequence: number, payload?: Uint32Array): void;
  end(error: TuttiError): void;
  /** Milliseconds since something was heard over the attached link; Infinity where there is none. */
  readonly silentFor: number;
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** a - b of two numbers modulo 2^32 that are not far apart. */
const ahead = (a: number, b: number): number => (a - b) | 0;

export function createReliableStream(session: number, timing: Timing = TIMING): ReliableStream {
  let link: ByteLink | undefined;
  let ended: TuttiError | undefined;
  let heard = 0;
  let spoke = 0;
  let beat: ReturnType<typeof setInterval> | undefined;

  // Outgoing: frames `base ..`, of which those before `next` have been sent over this link.
  const kept: Uint32Array[] = [];
  let base = 0;
  let next = 0;
  let credit = WINDOW_FRAMES;
  let repeat: ReturnType<typeof setTimeout> | undefined;
  let pause = timing.repeat;
  let askedAgain: number | undefined;
  let sender: Waiting<void> | undefined;

  // Incoming.
  let inbox: Uint32Array[] = [];
  let expected = 0;
  let consumed = 0;
  let told = WINDOW_FRAMES;
  let owed = false;
  let gap = false;
  let receiver: Waiting<Uint32Array> | undefined;

  const transmit = (type: Frame['type'], sequence: number, payload?: Uint32Array): void => {
    if (!link) return;
    const limit = (consumed + WINDOW_FRAMES) >>> 0;
    told = limit;
    if (type === 'data' || type === 'acknowledge') owed = false;
    spoke = performance.now();
    void link.send(
      encodeFrame({ type, session, sequence, acknowledge: expected, limit, ...(payload ? { payload } : {}) }),
    );
  };

  const pump = (): void => {
    if (!link) return;
    const end = (base + kept.length) >>> 0;
    while (ahead(end, next) > 0 && ahead(credit, next) > 0) {
      transmit('data', next, kept[ahead(next, base)]);
      next = (next + 1) >>> 0;
    }
    if (ahead(next, base) > 0) repeat ??= setTimeout(again, pause);
  };

  const again = (): void => {
    repeat = undefined;
    pause = Math.min(2 * pause, timing.longestRepeat);
    next = base;
    askedAgain = undefined;
    pump();
  };

  const acknowledged = (until: number): void => {
    const count = ahead(until, base);
    if (count <= 0 || count > ahead(next, base)) {
      // After a resumption the other end may know frames that this link has not carried.
      if (count <= 0 || count > kept.length) return;
      next = until;
    }
    kept.splice(0, count);
    base = until;
    pause = timing.repeat;
    askedAgain = undefined;
    clearTimeout(repeat);
    repeat = undefined;
    if (sender && kept.length < WINDOW_FRAMES) {
      sender.resolve();
      sender = undefined;
    }
  };

  const tell = (): void => {
    if (owed) return;
    owed = true;
    // Once for everything that came in one portion.
    queueMicrotask(() => {
      if (!owed || ended) return;
      transmit('acknowledge', gap ? 1 : 0);
      gap = false;
    });
  };

  const takeInbox = (): Uint32Array => {
    const parts = inbox;
    inbox = [];
    consumed = (consumed + parts.length) >>> 0;
    // The other end waits for credit, or soon will.
    if (ahead(told, expected) < WINDOW_FRAMES / 2) tell();
    if (parts.length === 1) return parts[0]!;
    const words = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      words.set(part, at);
      at += part.length;
    }
    return words;
  };

  const takeData = ({ sequence, payload }: Frame): void => {
    const place = ahead(sequence, expected);
    if (place === 0 && ahead(sequence, consumed) < WINDOW_FRAMES && payload.length > 0) {
      expected = (expected + 1) >>> 0;
      inbox.push(payload);
      if (receiver) {
        const { resolve } = receiver;
        receiver = undefined;
        resolve(takeInbox());
      }
    } else if (place > 0) gap = true;
    tell();
  };

  const stream: ReliableStream = {
    async send(words) {
      if (ended) throw ended;
      for (let at = 0; at < words.length; at += MAX_PAYLOAD_WORDS) kept.push(words.slice(at, at + MAX_PAYLOAD_WORDS));
      pump();
      if (kept.length >= WINDOW_FRAMES) await new Promise<void>((resolve, reject) => (sender = { resolve, reject }));
    },
    async receive() {
      if (inbox.length > 0) return takeInbox();
      if (ended) throw ended;
      return new Promise((resolve, reject) => (receiver = { resolve, reject }));
    },
    attach(to, onSilence) {
      stream.detach();
      if (ended) return;
      link = to;
      heard = performance.now();
      next = base;
      pause = timing.repeat;
      beat = setInterval(() => {
        if (performance.now() - heard > timing.silence) onSilence();
        else if (performance.now() - spoke >= timing.heartbeat) transmit('acknowledge', 0);
      }, timing.heartbeat / 2);
      transmit('acknowledge', 0);
      pump();
    },
    detach() {
      link = undefined;
      clearInterval(beat);
      clearTimeout(repeat);
      repeat = undefined;
    },
    take(frame) {
      if (ended || frame.session !== session) return;
      heard = performance.now();
      acknowledged(frame.acknowledge);
      if (ahead(frame.limit, credit) > 0 && ahead(frame.limit, base) <= 2 * WINDOW_FRAMES) credit = frame.limit;
      if (frame.type === 'data') takeData(frame);
      else if (frame.type === 'acknowledge' && frame.sequence === 1 && askedAgain !== base && ahead(next, base) > 0) {
        askedAgain = base;
        next = base;
      }
      pump();
    },
    post: transmit,
    end(error) {
      if (ended) return;
      stream.detach();
      ended = error;
      sender?.reject(error);
      receiver?.reject(error);
      sender = undefined;
      receiver = undefined;
    },
    get silentFor() {
      return link ? performance.now() - heard : Infinity;
    },
  };
  return stream;
}
