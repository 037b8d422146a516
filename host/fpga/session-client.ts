/**
 * The host's end of a session: a machine link over any byte link. When the byte link drops it is dialled again and the session goes
 * on where it was; only when the far end does not know the session any more, or cannot be reached for too long, is the machine link
 * lost.
 */
import { abortedError, throwIfAborted, TuttiError } from '../errors.js';
import { createFrameReader, encodeFrame, wordsText, type Frame } from './frame.js';
import type { ByteLink, DialByteLink, MachineLink } from './machine-link.js';
import { CONTROL, PROTOCOL_VERSION, REFUSAL, TIMING } from './protocol.js';
import { createReliableStream, type ReliableStream, type Timing } from './reliable-stream.js';

export interface SessionOptions {
  /** Milliseconds in which the far end must answer once a link stands. Default 5000. */
  readonly openMs?: number;
  /** Milliseconds in which a dropped link must stand again. Default 15000. */
  readonly resumeMs?: number;
  /** Milliseconds in which a register access must be answered. Default 5000. */
  readonly registerMs?: number;
  readonly timing?: Timing;
  readonly signal?: AbortSignal | undefined;
}

interface Refusal {
  /** Of `REFUSAL`, or 0 when nothing was heard. */
  readonly code: number;
  readonly message: string;
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** Longest pause between two attempts to dial again, in milliseconds. */
const LONGEST_PAUSE_MS = 1000;

/**
 * Dials and opens a session; the machine behind the far end has been reset then.
 * @throws TuttiError DEVICE_UNAVAILABLE: not reachable, no answer, another version, busy; ABORTED
 */
export async function openSession(dial: DialByteLink, options: SessionOptions = {}): Promise<MachineLink> {
  const { openMs = 5000, resumeMs = 15_000, registerMs = 5000, timing = TIMING, signal } = options;
  throwIfAborted(signal, 'opening a session with a board');
  const session = (crypto.getRandomValues(new Uint32Array(1))[0]! | 1) >>> 0;
  const stream = createReliableStream(session, timing);
  const controls = createControls(stream, { repeatMs: timing.repeat, withinMs: registerMs });
  const leaving = new AbortController();
  let link: ByteLink | undefined;
  let gone: TuttiError | undefined;
  let resolveLost: (error: TuttiError) => void;
  const lost = new Promise<TuttiError>((resolve) => (resolveLost = resolve));

  const end = (error: TuttiError): void => {
    if (gone) return;
    gone = error;
    leaving.abort(error);
    stream.end(error);
    controls.end(error);
    link?.close();
    resolveLost(error);
  };

  const take = (frame: Frame): void => {
    if (frame.session !== session) return;
    stream.take(frame);
    if (frame.type === 'reply') controls.take(frame);
    else if (frame.type === 'fault') end(lostError(name, `the far end lost its machine: ${wordsText(frame.payload)}`));
  };

  const adopt = (fresh: ByteLink): void => {
    link = fresh;
    stream.attach(fresh, () => fresh.close());
    controls.repeat();
    void fresh.ended.then((why) => {
      if (link === fresh && !gone) void resume(why);
    });
  };

  const resume = async (why: string): Promise<void> => {
    stream.detach();
    link = undefined;
    const until = performance.now() + resumeMs;
    let last = why;
    for (let pause = 20; !gone && performance.now() < until; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const left = until - performance.now();
      try {
        const fresh = await dialWithin(dial, leaving.signal, left);
        const refusal = await greet(fresh, { session, resume: true, within: Math.min(left, openMs), timing, take });
        if (!refusal) return gone ? fresh.close() : adopt(fresh);
        await closed(fresh);
        last = refusal.message;
        // Nothing but a link that works is worth waiting for.
        if (refusal.code !== 0) return end(lostError(name, refusal.message));
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      if (!gone) await sleep(pause, leaving.signal);
    }
    end(lostError(name, `the link dropped and could not be made again in ${resumeMs} ms: ${last}`));
  };

  const fresh = await dial(signal);
  const { name } = fresh;
  const cancel = (): void => fresh.close();
  signal?.addEventListener('abort', cancel, { once: true });
  const refusal = await greet(fresh, { session, resume: false, within: openMs, timing, take });
  signal?.removeEventListener('abort', cancel);
  if (signal?.aborted || refusal) {
    await closed(fresh);
    if (signal?.aborted) throw abortedError(signal, `opening a session with ${name}`);
    const { message, facts, code } = refusal!;
    throw new TuttiError('DEVICE_UNAVAILABLE', `${name}: ${message}`, {
      where: name,
      facts: { ...facts, refusal: code },
    });
  }
  adopt(fresh);

  return {
    name,
    send: (words) => stream.send(words),
    receive: () => stream.receive(),
    registers: {
      read: (address) => controls.ask(CONTROL.read, address, 0),
      write: async (address, value) => void (await controls.ask(CONTROL.write, address, value)),
    },
    lost,
    async close() {
      stream.post('bye', 0);
      const last = link;
      end(new TuttiError('DEVICE_CLOSED', `the link to ${name} was closed by its owner`, { where: name }));
      if (last) await closed(last);
    },
  };
}

interface Greeting {
  readonly session: number;
  readonly resume: boolean;
  /** Milliseconds. */
  readonly within: number;
  readonly timing: Timing;
  /** Takes every frame after the welcome. */
  readonly take: (frame: Frame) => void;
}

/** Says hello until the far end answers; undefined when the session is open. */
function greet(link: ByteLink, { session, resume, within, timing, take }: Greeting): Promise<Refusal | undefined> {
  return new Promise((resolve) => {
    let settled = false;
    const settle = (refusal?: Refusal): void => {
      if (settled) return;
      settled = true;
      clearInterval(repeating);
      clearTimeout(limit);
      resolve(refusal);
    };
    const reader = createFrameReader({
      onFrame(frame) {
        if (settled) return take(frame);
        if (frame.session !== session) return;
        if (frame.type === 'welcome') settle();
        else if (frame.type === 'refuse') {
          settle({ code: frame.payload[0] ?? 0, message: wordsText(frame.payload.subarray(1)) });
        }
      },
      onVersion(version) {
        settle({
          code: REFUSAL.version,
          message: `the far end speaks version ${version} of the protocol, this side ${PROTOCOL_VERSION}; run the bridge of the same tutti there`,
          facts: { version, ours: PROTOCOL_VERSION },
        });
      },
    });
    const hello = (): void =>
      void link.send(encodeFrame({ type: 'hello', session, payload: Uint32Array.of(Number(resume)) }));
    const repeating = setInterval(hello, timing.repeat);
    const limit = setTimeout(() => {
      const saw = reader.dropped > 0 ? ` (${reader.dropped} bytes came that are no frames)` : '';
      settle({ code: 0, message: `no answer in ${Math.round(within)} ms${saw}; is a tutti bridge running there?` });
    }, within);
    link.listen((bytes) => reader.push(bytes));
    void link.ended.then((why) =>
      settle({ code: 0, message: `the link ended while the session was being opened: ${why}` }),
    );
    hello();
  });
}

interface Controls {
  ask(operation: number, address: number, value: number): Promise<number>;
  take(reply: Frame): void;
  /** Sends the request that waits for its reply once more. */
  repeat(): void;
  end(error: TuttiError): void;
}

/** Register accesses: one at a time, repeated until answered. */
function createControls(
  stream: ReliableStream,
  { repeatMs, withinMs }: { readonly repeatMs: number; readonly withinMs: number },
): Controls {
  let last = 0;
  let tail: Promise<unknown> = Promise.resolve();
  let open: { readonly payload: Uint32Array; readonly settle: (reply: Uint32Array | TuttiError) => void } | undefined;
  let gone: TuttiError | undefined;
  const repeat = (): void => {
    if (open) stream.post('control', last, open.payload);
  };
  const askNow = (operation: number, address: number, value: number): Promise<number> =>
    new Promise((resolve, reject) => {
      if (gone) throw gone;
      last = (last + 1) >>> 0;
      const repeating = setInterval(repeat, repeatMs);
      const limit = setTimeout(() => open?.settle(failed('was not answered in', `${withinMs} ms`)), withinMs);
      const failed = (what: string, more: string): TuttiError =>
        new TuttiError(
          'DEVICE_FAILED',
          `${operation === CONTROL.read ? 'reading' : 'writing'} register 0x${address.toString(16)} ${what} ${more}`,
          { facts: { address } },
        );
      open = {
        payload: Uint32Array.of(operation, address, value),
        settle(reply) {
          open = undefined;
          clearInterval(repeating);
          clearTimeout(limit);
          if (reply instanceof TuttiError) reject(reply);
          else if (reply[0] === 0) resolve(reply[1] ?? 0);
          else reject(failed('failed:', wordsText(reply.subarray(1))));
        },
      };
      repeat();
    });
  return {
    ask(operation, address, value) {
      const asked = tail.then(() => askNow(operation, address, value));
      tail = asked.catch(() => {});
      return asked;
    },
    take(reply) {
      if (reply.sequence === last) open?.settle(reply.payload);
    },
    repeat,
    end(error) {
      gone = error;
      open?.settle(error);
    },
  };
}

/** Closes a link and waits until what it stood on can be opened again, though not for long. */
async function closed(link: ByteLink): Promise<void> {
  link.close();
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([link.ended, new Promise((resolve) => (timer = setTimeout(resolve, LONGEST_PAUSE_MS)))]);
  clearTimeout(timer);
}

function lostError(name: string, why: string): TuttiError {
  return new TuttiError('DEVICE_LOST', `the machine at ${name} was lost: ${why}`, {
    where: name,
    facts: { reason: why },
  });
}

/** Dials, and gives up after `ms`; a link that comes later is closed. */
function dialWithin(dial: DialByteLink, signal: AbortSignal, ms: number): Promise<ByteLink> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      late = true;
      reject(new TuttiError('DEVICE_UNAVAILABLE', `no connection in ${Math.round(ms)} ms`));
    };
    let late = false;
    const timer = setTimeout(giveUp, ms);
    signal.addEventListener('abort', giveUp, { once: true });
    dial(signal)
      .then((link) => (late ? link.close() : resolve(link)), reject)
      .finally(() => {
        clearTimeout(timer);
        signal.removeEventListener('abort', giveUp);
      });
  });
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
