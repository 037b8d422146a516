/**
 * A machine link over the character devices of Linux's axis-fifo driver (Xilinx AXI-Stream FIFO), in Node on the board itself: plain
 * reads and writes of words. What is written in one piece goes out as one packet, at most `depth` words; a read gives one packet,
 * which the machine ends after each sample. The driver has no way to the machine's registers, so nothing can be identified or reset
 * here: host/fpga/bridge can do both.
 */
import type { FileHandle } from 'node:fs/promises';
import { throwIfAborted, TuttiError } from '../errors.js';
import { importBuiltin } from '../node-import.js';
import type { MachineConfig } from '../snn/machine/config.js';
import { IN_A_PAGE, type OpenMachineLink } from './machine-link.js';

export interface DeviceFileOptions {
  /** Read from, and written to where `output` is not given: /dev/axis_fifo_43c00000. */
  readonly path: string;
  /** Another file to write to. */
  readonly output?: string;
  /** What the board was built with. */
  readonly machine: MachineConfig;
  /** Words of the transmit FIFO: the longest packet. Default 512. */
  readonly depth?: number;
  /** Words of the receive FIFO, which holds a whole sample's output. Default 2^17, the most that the core can have. */
  readonly longestOutput?: number;
}

/** Milliseconds between two looks at a file that had nothing; it grows while nothing happens. */
const LOOK_MS = 1;
const LONGEST_LOOK_MS = 8;

/** Milliseconds without output after which what a machine still puts out of earlier work is over. */
const DRAIN_MS = 20;

export function deviceFileLink(options: DeviceFileOptions): OpenMachineLink {
  const { path, output = path, machine, depth = 512, longestOutput = 2 ** 17 } = options;
  const name = `path:${path}`;
  return async (signal) => {
    throwIfAborted(signal, `opening ${path}`);
    const { open } = await importBuiltin<typeof import('node:fs/promises')>('fs/promises', name, IN_A_PAGE);
    const { constants } = await importBuiltin<typeof import('node:fs')>('fs', name, IN_A_PAGE);
    const openFile = async (file: string, flags: number): Promise<FileHandle> => {
      try {
        return await open(file, flags | constants.O_NONBLOCK);
      } catch (cause) {
        const why = `${file} could not be opened: ${messageOf(cause)}; is the driver loaded (modprobe axis-fifo), and may this user use it?`;
        throw new TuttiError('DEVICE_UNAVAILABLE', why, { where: file, cause });
      }
    };
    const reader = await openFile(path, constants.O_RDONLY);
    const writer = await openFile(output, constants.O_WRONLY).catch(async (error: unknown) => {
      await reader.close();
      throw error;
    });
    const bytes = new Uint8Array(4 * longestOutput);
    let gone: TuttiError | undefined;
    let resolveLost: (error: TuttiError) => void;
    const lost = new Promise<TuttiError>((resolve) => (resolveLost = resolve));
    const end = (error: TuttiError): TuttiError => {
      if (!gone) {
        gone = error;
        resolveLost(error);
        void Promise.allSettled([reader.close(), writer.close()]);
      }
      return gone;
    };
    const fail = (doing: string, cause: unknown): TuttiError =>
      end(new TuttiError('DEVICE_LOST', `${doing} failed: ${messageOf(cause)}`, { where: name, cause }));

    /** One packet, or nothing where there is none now. */
    const look = async (): Promise<Uint32Array | undefined> => {
      const got = await reader.read(bytes, 0, bytes.length, null).then(
        ({ bytesRead }) => bytesRead,
        (error: unknown) => {
          if (isBusy(error)) return 0;
          throw error;
        },
      );
      if (got === 0) return undefined;
      // A pipe may stop in the midst of a word; the rest of it is there at once.
      let have = got;
      for (let tries = 0; have % 4 !== 0; tries++) {
        if (tries > 1000) throw new Error(`${have} bytes came, which are no whole words`);
        const more = await reader.read(bytes, have, 4 - (have % 4), null).catch((error: unknown) => {
          if (isBusy(error)) return { bytesRead: 0 };
          throw error;
        });
        have += more.bytesRead;
        if (have % 4 !== 0) await pause(LOOK_MS);
      }
      return toWords(bytes.subarray(0, have));
    };

    // Words of somebody's earlier samples.
    for (let quiet = 0; quiet < DRAIN_MS; quiet += LOOK_MS) {
      if (await look().catch((cause: unknown) => Promise.reject(fail(`reading ${path}`, cause)))) quiet = 0;
      await pause(LOOK_MS);
    }

    return {
      name,
      machine,
      notices: ['reached through device files only: its configuration is what was given, not what the board says'],
      lost,
      async send(words) {
        for (let at = 0; at < words.length; at += depth) {
          const packet = toBytes(words.subarray(at, at + depth));
          // A packet is written whole or, where the FIFO has no room for it yet, not at all; a pipe may take a part.
          for (let done = 0, wait = LOOK_MS; done < packet.length;) {
            if (gone) throw gone;
            const taken = await writer.write(packet, done, packet.length - done, null).then(
              ({ bytesWritten }) => bytesWritten,
              (error: unknown) => {
                if (isBusy(error)) return 0;
                throw gone ?? fail(`writing ${output}`, error);
              },
            );
            done += taken;
            if (taken > 0) continue;
            await pause(wait);
            wait = Math.min(2 * wait, LONGEST_LOOK_MS);
          }
        }
      },
      async receive() {
        for (let wait = LOOK_MS; ; wait = Math.min(2 * wait, LONGEST_LOOK_MS)) {
          if (gone) throw gone;
          const words = await look().catch((cause: unknown) => Promise.reject(gone ?? fail(`reading ${path}`, cause)));
          if (words) return words;
          await pause(wait);
        }
      },
      async close() {
        end(new TuttiError('DEVICE_CLOSED', `${name} was closed by its owner`, { where: name }));
      },
    };
  };
}

/** EAGAIN: nothing there, or no room; the driver's time-outs say the same. */
function isBusy(error: unknown): boolean {
  const { code } = error as { readonly code?: string };
  return code === 'EAGAIN' || code === 'ETIMEDOUT' || code === 'EINTR';
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Low byte first, whatever this machine's order is. */
export function toBytes(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return bytes;
}

export function toWords(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.byteLength >> 2 }, (_, i) => view.getUint32(4 * i, true));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
