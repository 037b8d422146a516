/**
 * A board, kept usable: connected, identified, with the right program loaded, and connected again after a fault. Samples are run in
 * order; the ones that had not ended when a fault came are run again, so that each has exactly one result.
 */
import { abortedError, throwIfAborted, TuttiError } from '../errors.js';
import { checkProgramFits, identifyBoard, machineDifferences, type BoardIdentity } from './identify.js';
import type { MachineLink, OpenMachineLink } from './machine-link.js';
import { controlWords, loadWords, type ReadRequest } from '../snn/machine/load-words.js';
import { decodeProgram, HEADER } from '../snn/machine/program-file.js';
import { outputBound } from '../snn/machine/output-words.js';
import { machineSteps, type Program } from '../snn/machine/program.js';
import { REGISTER } from './register-map.js';
import { createOutputCollector } from './sample-output.js';

export interface BoardOptions {
  /**
   * Milliseconds without a word taken or given, while some are owed, after which the machine is taken to hang. Default 10000, and 120000 for
   * one that is simulated.
   */
  readonly timeoutMs?: number;
  /** How often in a row, without a sample that ends in between, the board is connected again after a fault. Default 3. */
  readonly retries?: number;
  /** Input words that may be on their way before the sample that they belong to has ended. Default 65536. */
  readonly inFlightWords?: number;
  /** Called before the board is connected again. */
  readonly onRetry?: (error: TuttiError) => void;
}

export interface BoardJob {
  /** A program file's words. */
  readonly program: Uint32Array;
  readonly read: ReadRequest;
  /** Input words of each sample, from its `begin`. */
  readonly samples: readonly Uint32Array[];
  /** Words to keep of a sample, at least `END_WORDS`; see `CollectorOptions`. */
  readonly longest: number;
  /** Called in the order of the samples, once for each; `words` is valid during the call only. */
  readonly onSample: (sample: number, words: Uint32Array) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Board {
  readonly name: string;
  readonly identity: BoardIdentity;
  readonly notices: readonly string[];
  readonly simulated: boolean;
  /** One at a time. @throws TuttiError DEVICE_LOST when the board cannot be made to work; ABORTED; what is wrong with the job */
  run(job: BoardJob): Promise<void>;
  /** Whether it is connected now. */
  readonly connected: boolean;
  close(): Promise<void>;
}

interface Connection {
  readonly link: MachineLink;
  /** What the session register holds; undefined without registers. */
  readonly session: number | undefined;
  loaded: number | undefined;
  read: ReadRequest | undefined;
}

/** Words of a program or sample that are handed to the link in one piece. */
const PIECE = 4096;

/** Milliseconds before the second attempt to connect again; doubles each time. */
const FIRST_PAUSE_MS = 50;

/** @throws TuttiError DEVICE_UNAVAILABLE when there is no board, or it is none of ours */
export async function openBoard(
  open: OpenMachineLink,
  options: BoardOptions & { readonly signal?: AbortSignal | undefined } = {},
): Promise<Board> {
  const { retries = 3, inFlightWords = 65_536, onRetry, signal } = options;
  const closer = new AbortController();
  let program: { readonly checksum: number; readonly decoded: Program } | undefined;
  let connection: Connection | undefined;

  const connect = async (
    stop: AbortSignal | undefined,
  ): Promise<{ connection: Connection; identity: BoardIdentity }> => {
    const link = await open(stop);
    try {
      const identity = await identifyBoard(link);
      const session = link.registers && (crypto.getRandomValues(new Uint32Array(1))[0]! | 1) >>> 0;
      if (session !== undefined) await link.registers!.write(REGISTER.session, session);
      return { connection: { link, session, loaded: undefined, read: undefined }, identity };
    } catch (error) {
      await link.close();
      throw error;
    }
  };

  const first = await connect(signal);
  const { identity } = first;
  const { name, notices = [] } = first.connection.link;
  connection = first.connection;
  const simulated = first.connection.link.simulated === true;
  const { timeoutMs = simulated ? 120_000 : 10_000 } = options;

  const reconnect = async (): Promise<Connection> => {
    const again = await connect(closer.signal);
    const differences = machineDifferences(identity.machine, again.identity.machine);
    if (differences.length === 0 && machineDifferences(again.identity.machine, identity.machine).length === 0) {
      return again.connection;
    }
    await again.connection.link.close();
    const fields = differences.map(({ field }) => field).join(', ');
    throw gone(name, `another machine answers there now (${fields} differ)`);
  };

  const drop = async (): Promise<void> => {
    const { link } = connection ?? {};
    connection = undefined;
    await link?.close();
  };

  const decode = (words: Uint32Array): Program => {
    const checksum = words[HEADER.checksum]!;
    if (program?.checksum !== checksum) {
      const decoded = decodeProgram(words);
      checkProgramFits(decoded.machine, identity.machine, name);
      program = { checksum, decoded };
    }
    return program.decoded;
  };

  /** Loads what is not loaded yet. */
  const load = async (to: Connection, job: BoardJob, decoded: Program, moved: () => void): Promise<void> => {
    const { link, session } = to;
    const checksum = job.program[HEADER.checksum]!;
    if (session !== undefined && (await link.registers!.read(REGISTER.session)) !== session) {
      throw new TuttiError('DEVICE_FAILED', `somebody reset the machine at ${name}`, { where: name });
    }
    if (to.loaded !== checksum) {
      to.loaded = undefined;
      await sendAll(link, loadWords(decoded, job.read), moved);
      await link.registers?.write(REGISTER.program, checksum);
    } else if (!sameRead(to.read, job.read)) {
      await sendAll(link, controlWords(decoded, job.read), moved);
    }
    to.loaded = checksum;
    to.read = job.read;
  };

  /** Runs the samples from `from` on; `onEnded` is called as each ends. */
  const stream = async (
    { link }: Connection,
    job: BoardJob,
    decoded: Program,
    from: number,
    {
      moved,
      onEnded,
      stopped,
    }: { readonly moved: () => void; readonly onEnded: () => void; readonly stopped: AbortSignal },
  ): Promise<void> => {
    const samples = job.samples.slice(from);
    let inFlight = 0;
    let ended = 0;
    let wake = (): void => {};
    stopped.addEventListener('abort', () => wake(), { once: true });
    const collector = createOutputCollector({
      tags: samples.map((words) => (words[0]! >>> 14) & 0xffff),
      longest: job.longest,
      bound: boundOf(decoded, job),
      onSample(sample, words) {
        if (stopped.aborted) return;
        inFlight -= samples[sample]!.length;
        ended++;
        job.onSample(from + sample, words);
        onEnded();
        wake();
      },
    });
    const write = async (): Promise<void> => {
      for (const words of samples) {
        while (inFlight > 0 && inFlight + words.length > inFlightWords) {
          await new Promise<void>((resolve) => (wake = resolve));
          if (stopped.aborted) return;
        }
        inFlight += words.length;
        await sendAll(link, words, moved);
      }
    };
    const readAll = async (): Promise<void> => {
      while (ended < samples.length && !stopped.aborted) {
        const words = await link.receive();
        moved();
        collector.push(words);
      }
    };
    await Promise.all([write(), readAll()]);
  };

  /** Runs `work` until it is done, makes no progress, or is aborted; what it does afterwards is in vain, and must not matter. */
  const watched = async (
    job: BoardJob,
    work: (moved: () => void, stopped: AbortSignal) => Promise<void>,
    doing: () => string,
  ): Promise<void> => {
    let last = performance.now();
    const stop = new AbortController();
    let timer: ReturnType<typeof setInterval> | undefined;
    let onAbort = (): void => {};
    const cut = new Promise<never>((_, reject) => {
      const look = (): void => {
        if (performance.now() - last < timeoutMs) return;
        reject(
          new TuttiError('DEVICE_FAILED', `the machine at ${name} hangs: no word in ${timeoutMs} ms; ${doing()}`, {
            where: name,
          }),
        );
      };
      timer = setInterval(look, Math.max(5, timeoutMs / 8));
      onAbort = (): void => reject(abortedError(job.signal!, `run on ${name}`));
    });
    job.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([work(() => (last = performance.now()), stop.signal), cut]);
    } finally {
      clearInterval(timer);
      job.signal?.removeEventListener('abort', onAbort);
      stop.abort();
    }
  };

  return {
    name,
    identity,
    notices,
    simulated,
    get connected() {
      return connection !== undefined;
    },
    async run(job) {
      const decoded = decode(job.program);
      const total = job.samples.length;
      let done = 0;
      let failures = 0;
      const onEnded = (): void => {
        done++;
        failures = 0;
      };
      while (done < total) {
        throwIfAborted(job.signal, `run on ${name}`);
        try {
          const current = (connection ??= await reconnect());
          await watched(
            job,
            async (moved, stopped) => {
              await load(current, job, decoded, moved);
              await stream(current, job, decoded, done, { moved, onEnded, stopped });
            },
            () => `${done} of ${total} samples are done`,
          );
        } catch (error) {
          await drop();
          if (closer.signal.aborted || !(error instanceof TuttiError) || !isFault(error)) throw error;
          if (++failures > retries)
            throw gone(name, `${error.message}; ${retries} new connections did not help`, error);
          onRetry?.(error);
          if (failures > 1) await sleep(FIRST_PAUSE_MS * 2 ** (failures - 2), closer.signal);
        }
      }
    },
    async close() {
      closer.abort();
      await drop();
    },
  };
}

/** Whether a new connection may help. */
function isFault({ code, facts }: TuttiError): boolean {
  if (code === 'DEVICE_LOST') return facts['final'] !== true;
  return code === 'DEVICE_FAILED' || code === 'DEVICE_UNAVAILABLE';
}

function gone(name: string, reason: string, cause?: unknown): TuttiError {
  return new TuttiError('DEVICE_LOST', `the board at ${name} was lost: ${reason}`, {
    where: name,
    cause,
    facts: { reason, final: true },
  });
}

/** Words of the longest output that a sample can have. */
function boundOf(program: Program, { samples, read }: BoardJob): number {
  const recorded = program.neuronClass.reduce((sum, c) => sum + Number(program.classes[c]!.record), 0);
  return outputBound(recorded, machineSteps(program, samples[0]![0]! & 0x3fff), read);
}

async function sendAll(link: MachineLink, words: Uint32Array, onMoved: () => void): Promise<void> {
  const piece = link.simulated ? words.length : PIECE;
  for (let at = 0; at < words.length; at += piece) {
    await link.send(words.subarray(at, at + piece));
    onMoved();
  }
}

function sameRead(a: ReadRequest | undefined, b: ReadRequest): boolean {
  return a !== undefined && a.first === b.first && a.count === b.count && a.everyStep === b.everyStep;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
