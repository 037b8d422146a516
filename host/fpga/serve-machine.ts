/**
 * The far end of sessions, in TypeScript: serves one machine (the twin, a simulator, device files) over byte links to one host at a
 * time. host/fpga/bridge has the same in Python for boards.
 */
import { TuttiError } from '../errors.js';
import { createFrameReader, encodeFrame, textWords, type Frame } from './frame.js';
import type { ByteLink, MachineLink, OpenMachineLink } from './machine-link.js';
import { CONTROL, REFUSAL, TIMING } from './protocol.js';
import { createReliableStream, type ReliableStream, type Timing } from './reliable-stream.js';

export interface MachineServer {
  /** Serves whoever is at the other end of `link`, until the link ends. */
  accept(link: ByteLink): void;
  /** Ends the session and closes the machine. */
  close(): Promise<void>;
}

export interface MachineServerOptions {
  readonly timing?: Timing;
}

interface Session {
  readonly number: number;
  readonly stream: ReliableStream;
  link: ByteLink | undefined;
  /** Undefined while it is being opened. */
  machine: MachineLink | undefined;
  /** Ends it when no link comes back. */
  keeping: ReturnType<typeof setTimeout> | undefined;
  lastControl: number;
  lastReply: Uint32Array | undefined;
}

/** Numbers of ended sessions that are remembered, so that a hello of theirs which comes late does not open them again. */
const REMEMBERED = 64;

/** @param openMachine opens a machine that has just been reset, once for each session */
export function createMachineServer(openMachine: OpenMachineLink, options: MachineServerOptions = {}): MachineServer {
  const { timing = TIMING } = options;
  const links = new Set<ByteLink>();
  const over: number[] = [];
  let session: Session | undefined;
  /** The machine of the session before is closed before the next is opened. */
  let closing: Promise<unknown> = Promise.resolve();
  let closed = false;

  const finish = (which: Session, why: string): void => {
    if (session !== which) return;
    session = undefined;
    over.push(which.number);
    if (over.length > REMEMBERED) over.shift();
    clearTimeout(which.keeping);
    which.stream.end(new TuttiError('DEVICE_CLOSED', `the session is over: ${why}`));
    const { machine } = which;
    if (machine) closing = closing.then(() => machine.close().catch(() => {}));
  };

  const fault = (which: Session, why: string): void => {
    if (session !== which) return;
    which.stream.post('fault', 0, textWords(why));
    finish(which, why);
  };

  const attach = (which: Session, link: ByteLink): void => {
    clearTimeout(which.keeping);
    if (which.link !== link) {
      const before = which.link;
      which.link = link;
      which.stream.attach(link, () => link.close());
      before?.close();
    }
    which.stream.post('welcome', 0, textWords(which.machine!.name));
  };

  const leave = (which: Session): void => {
    which.link = undefined;
    which.stream.detach();
    which.keeping = setTimeout(() => finish(which, 'the host did not come back'), timing.keep);
  };

  const carry = async (which: Session, machine: MachineLink): Promise<void> => {
    const inward = async (): Promise<never> => {
      for (;;) await machine.send(await which.stream.receive());
    };
    const outward = async (): Promise<never> => {
      for (;;) await which.stream.send(await machine.receive());
    };
    void machine.lost.then((error) => fault(which, error.message));
    await Promise.all([inward(), outward()]).catch((error: unknown) => fault(which, messageOf(error)));
  };

  const begin = async (number: number, link: ByteLink): Promise<void> => {
    const stream = createReliableStream(number, timing);
    const made: Session = {
      number,
      stream,
      link,
      machine: undefined,
      keeping: undefined,
      lastControl: 0,
      lastReply: undefined,
    };
    session = made;
    try {
      await closing;
      made.machine = await openMachine();
    } catch (error) {
      if (made.link) refuse(made.link, number, REFUSAL.machine, `the machine could not be opened: ${messageOf(error)}`);
      finish(made, 'the machine could not be opened');
      return;
    }
    if (session !== made) {
      const { machine } = made;
      closing = closing.then(() => machine.close().catch(() => {}));
      return;
    }
    void carry(made, made.machine);
    const current = made.link;
    made.link = undefined;
    if (current) attach(made, current);
    else leave(made);
  };

  const hello = (frame: Frame, link: ByteLink): void => {
    const number = frame.session;
    if (session?.number === number) {
      // The same hello again, or the host is back over a new link.
      if (session.machine) attach(session, link);
      else session.link = link;
      return;
    }
    if (over.includes(number) || frame.payload[0] === 1) {
      return refuse(
        link,
        number,
        REFUSAL.unknownSession,
        'the session is over: the far end was restarted, or waited too long',
      );
    }
    if (session?.link && (!session.machine || session.stream.silentFor < timing.silence)) {
      return refuse(link, number, REFUSAL.busy, 'another host is using this machine');
    }
    if (session) finish(session, 'another host took over');
    void begin(number, link);
  };

  const control = async (which: Session, { sequence, payload }: Frame): Promise<void> => {
    if (sequence === which.lastControl) {
      if (which.lastReply) which.stream.post('reply', sequence, which.lastReply);
      return;
    }
    which.lastControl = sequence;
    which.lastReply = undefined;
    const reply = await access(which.machine!, payload);
    if (which.lastControl !== sequence) return;
    which.lastReply = reply;
    which.stream.post('reply', sequence, reply);
  };

  return {
    accept(link) {
      if (closed) return link.close();
      links.add(link);
      const reader = createFrameReader({
        onFrame(frame) {
          if (frame.type === 'hello') return hello(frame, link);
          if (!session || frame.session !== session.number || session.link !== link || !session.machine) return;
          if (frame.type === 'bye') return finish(session, 'the host left');
          session.stream.take(frame);
          if (frame.type === 'control') void control(session, frame);
        },
        // In our own version: whoever reads it sees which one that is.
        onVersion: (version) =>
          refuse(link, 0, REFUSAL.version, `a frame of version ${version} of the protocol came; this is another one`),
      });
      link.listen((bytes) => reader.push(bytes));
      void link.ended.then(() => {
        links.delete(link);
        if (session?.link !== link) return;
        if (session.machine) leave(session);
        else session.link = undefined;
      });
    },
    async close() {
      closed = true;
      if (session) finish(session, 'the server was closed');
      for (const link of links) link.close();
      await closing;
    },
  };
}

function refuse(link: ByteLink, session: number, code: number, message: string): void {
  void link.send(encodeFrame({ type: 'refuse', session, payload: textWords(message, [code]) }));
}

async function access(machine: MachineLink, payload: Uint32Array): Promise<Uint32Array> {
  const [operation, address = 0, value = 0] = payload;
  const { registers } = machine;
  try {
    if (!registers) return textWords(`${machine.name} has no registers`, [1]);
    if (operation === CONTROL.read) return Uint32Array.of(0, await registers.read(address));
    if (operation !== CONTROL.write) return textWords(`there is no register operation ${operation}`, [1]);
    await registers.write(address, value);
    return Uint32Array.of(0, 0);
  } catch (error) {
    return textWords(messageOf(error), [1]);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
