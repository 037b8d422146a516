/**
 * A machine link to the native simulator (rtl/sim): the Verilated RTL as a program, by its standard streams or a socket on this machine.
 * Nothing is lost on such a link, so its packets have no numbers and no check: kind << 24 | words that follow.
 */
import { TuttiError } from '../errors.js';
import { toBytes, toWords } from './device-file-link.js';
import type { ByteLink, DialByteLink, MachineLink, OpenMachineLink } from './machine-link.js';

const PACKET = { stream: 0, read: 1, write: 2 } as const;
const LONGEST = 2 ** 24 - 1;

/** Milliseconds in which a register access must be answered. */
const REGISTER_MS = 10_000;

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** @param dial connects to a simulator, or starts one; it has just been reset then */
export function simulatorLink(dial: DialByteLink): OpenMachineLink {
  return async (signal) => overPackets(await dial(signal));
}

function overPackets(link: ByteLink): MachineLink {
  const { name } = link;
  const outbox: Uint32Array[] = [];
  const accesses: Waiting<Uint32Array>[] = [];
  let receiver: Waiting<Uint32Array> | undefined;
  let held = new Uint8Array(0);
  let gone: TuttiError | undefined;
  let resolveLost: (error: TuttiError) => void;
  const lost = new Promise<TuttiError>((resolve) => (resolveLost = resolve));

  const end = (error: TuttiError): void => {
    if (gone) return;
    gone = error;
    link.close();
    receiver?.reject(error);
    for (const { reject } of accesses.splice(0)) reject(error);
    resolveLost(error);
  };
  const lose = (why: string): void =>
    end(
      new TuttiError('DEVICE_LOST', `the simulator at ${name} was lost: ${why}`, {
        where: name,
        facts: { reason: why },
      }),
    );

  const take = (kind: number, words: Uint32Array): void => {
    if (kind !== PACKET.stream) {
      const access = accesses.shift();
      if (access) return access.resolve(words);
      return lose(`it sent a packet of kind ${kind} that nobody asked for; is that the simulator of rtl/sim?`);
    }
    if (!receiver) return void outbox.push(words);
    const { resolve } = receiver;
    receiver = undefined;
    resolve(words);
  };

  link.listen((bytes) => {
    const joined = new Uint8Array(held.length + bytes.length);
    joined.set(held);
    joined.set(bytes, held.length);
    let at = 0;
    while (!gone && joined.length - at >= 4) {
      const head = toWords(joined.subarray(at, at + 4))[0]!;
      const length = 4 + 4 * (head & LONGEST);
      if (head >>> 24 > 3) return lose(`it sent 0x${head.toString(16)}, which starts no packet`);
      if (joined.length - at < length) break;
      take(head >>> 24, toWords(joined.subarray(at + 4, at + length)));
      at += length;
    }
    held = joined.slice(at);
  });
  void link.ended.then(lose);

  const packet = (kind: number, words: Uint32Array): Promise<void> => {
    const all = new Uint32Array(words.length + 1);
    all[0] = ((kind << 24) | words.length) >>> 0;
    all.set(words, 1);
    return link.send(toBytes(all));
  };
  const access = async (kind: number, words: Uint32Array): Promise<Uint32Array> => {
    if (gone) throw gone;
    const timer = setTimeout(() => lose(`it did not answer a register access in ${REGISTER_MS} ms`), REGISTER_MS);
    try {
      const answer = new Promise<Uint32Array>((resolve, reject) => accesses.push({ resolve, reject }));
      await Promise.race([packet(kind, words), answer]);
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    name,
    lost,
    simulated: true,
    notices: ['a simulation of the RTL: for proof, not for speed'],
    registers: {
      read: async (address) => (await access(PACKET.read, Uint32Array.of(address)))[0] ?? 0,
      write: async (address, value) => void (await access(PACKET.write, Uint32Array.of(address, value))),
    },
    async send(words) {
      if (gone) throw gone;
      for (let at = 0; at < words.length; at += LONGEST) await packet(PACKET.stream, words.subarray(at, at + LONGEST));
    },
    async receive() {
      const words = outbox.shift();
      if (words) return words;
      if (gone) throw gone;
      return new Promise((resolve, reject) => (receiver = { resolve, reject }));
    },
    async close() {
      end(new TuttiError('DEVICE_CLOSED', `the simulator at ${name} was closed by its owner`, { where: name }));
      await Promise.race([link.ended, new Promise((resolve) => setTimeout(resolve, 1500).unref?.())]);
    },
  };
}
