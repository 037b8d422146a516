/**
 * The RTL twin: the Verilated design of the default machine, compiled to Wasm (rtl/twin), as a machine link in this process. It is the
 * hardware cycle for cycle, and needs nothing installed, in Node or a page.
 */
import bytes from '../../rtl/twin/tutti_machine.wasm';
import { throwIfAborted, TuttiError } from '../errors.js';
import type { MachineLink, OpenMachineLink } from './machine-link.js';

export interface TwinOptions {
  /** Wasm of another machine, made by `npm run rtl:twin -- --machine ... --out FILE`. Default: that of the default machine. */
  readonly wasm?: Uint8Array;
}

/** What rtl/twin/twin.cpp exports. */
interface TwinExports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  inputBuffer(): number;
  inputRoom(): number;
  outputBuffer(): number;
  /** Offers the first words of the input buffer; those not taken yet must be the first of them. */
  offer(words: number): void;
  /** Of those, the ones not taken yet. */
  offered(): number;
  /** Why it stopped: one of `STOP`. */
  run(cycles: number): number;
  /** Words in the output buffer, which is empty afterwards. */
  collect(): number;
  readRegister(address: number): number;
  writeRegister(address: number, value: number): void;
}

const STOP = { cycles: 0, full: 1, idle: 2 } as const;

/** Cycles between two looks at the clock, and milliseconds after which others get their turn. */
const CYCLES = 4096;
const SLICE_MS = 8;

/** Words that may wait in front of the machine before a sender has to. */
const CROWDED = 1 << 15;

const modules = new Map<Uint8Array, Promise<WebAssembly.Module>>();

export function openTwin({ wasm = bytes }: TwinOptions = {}): OpenMachineLink {
  return async (signal) => {
    throwIfAborted(signal, 'opening the RTL twin');
    let module = modules.get(wasm);
    if (!module) {
      if (typeof WebAssembly === 'undefined')
        throw new TuttiError('DEVICE_UNAVAILABLE', 'there is no WebAssembly here, so the RTL twin cannot run');
      module = WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>);
      modules.set(wasm, module);
    }
    try {
      const { exports } = await WebAssembly.instantiate(await module, {});
      return linkOf(exports as unknown as TwinExports);
    } catch (cause) {
      modules.delete(wasm);
      throw new TuttiError('DEVICE_UNAVAILABLE', `the RTL twin does not start: ${messageOf(cause)}`, { cause });
    }
  };
}

function linkOf(twin: TwinExports): MachineLink {
  const name = 'RTL twin';
  twin._initialize();
  const [inputAt, room, outputAt] = [twin.inputBuffer(), twin.inputRoom(), twin.outputBuffer()];
  const queue: Uint32Array[] = [];
  let queued = 0;
  /** Words in the input buffer, those that the machine has taken included. */
  let given = 0;
  const outbox: Uint32Array[] = [];
  let sender: Waiting<void> | undefined;
  let receiver: Waiting<Uint32Array> | undefined;
  let idle = true;
  let running = false;
  let gone: TuttiError | undefined;
  let resolveLost: (error: TuttiError) => void;
  const lost = new Promise<TuttiError>((resolve) => (resolveLost = resolve));

  const end = (error: TuttiError): void => {
    if (gone) return;
    gone = error;
    sender?.reject(error);
    receiver?.reject(error);
    resolveLost(error);
  };

  const collect = (): void => {
    const count = twin.collect();
    if (count === 0) return;
    const words = new Uint32Array(twin.memory.buffer, outputAt, count).slice();
    if (!receiver) return void outbox.push(words);
    const { resolve } = receiver;
    receiver = undefined;
    resolve(words);
  };

  /** Fills the input buffer up with what is queued, behind what the machine has not taken yet. */
  const offer = (): void => {
    if (queue.length === 0) return;
    const left = twin.offered();
    if (left > room / 2) return;
    const buffer = new Uint32Array(twin.memory.buffer, inputAt, room);
    buffer.copyWithin(0, given - left, given);
    given = left;
    while (queue.length > 0 && given < room) {
      const part = queue[0]!.subarray(0, room - given);
      buffer.set(part, given);
      given += part.length;
      if (part.length === queue[0]!.length) queue.shift();
      else queue[0] = queue[0]!.subarray(part.length);
    }
    queued -= given - left;
    twin.offer(given);
    if (sender && queued < CROWDED) {
      sender.resolve();
      sender = undefined;
    }
  };

  const work = async (): Promise<void> => {
    running = true;
    try {
      while (!gone && !(idle && queue.length === 0)) {
        for (const until = performance.now() + SLICE_MS; performance.now() < until;) {
          offer();
          // The machine takes a word a cycle at most, so it never waits for one that is still queued.
          idle = twin.run(queue.length > 0 ? Math.min(CYCLES, twin.offered()) : CYCLES) === STOP.idle;
          collect();
          if (idle && queue.length === 0) break;
        }
        await nextTurn();
      }
    } catch (cause) {
      end(new TuttiError('DEVICE_LOST', `the RTL twin failed: ${messageOf(cause)}`, { where: name, cause }));
    }
    running = false;
  };

  return {
    name,
    lost,
    simulated: true,
    notices: ['the RTL, simulated in this process: exact to the cycle, and far slower than a board'],
    registers: {
      async read(address) {
        if (gone) throw gone;
        const value = twin.readRegister(address) >>> 0;
        // Time goes on meanwhile.
        collect();
        return value;
      },
      async write(address, value) {
        if (gone) throw gone;
        twin.writeRegister(address, value);
        collect();
      },
    },
    async send(words) {
      if (gone) throw gone;
      if (words.length === 0) return;
      queue.push(words.slice());
      queued += words.length;
      idle = false;
      if (!running) void work();
      if (queued >= CROWDED) await new Promise<void>((resolve, reject) => (sender = { resolve, reject }));
    },
    async receive() {
      const words = outbox.shift();
      if (words) return words;
      if (gone) throw gone;
      return new Promise((resolve, reject) => (receiver = { resolve, reject }));
    },
    async close() {
      end(new TuttiError('DEVICE_CLOSED', `the ${name} was closed by its owner`, { where: name }));
    },
  };
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** Lets timers, input and signals in. */
function nextTurn(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
