/**
 * How a machine is reached: its two streams of words and its registers (`MachineLink`), and the byte links that carry the framed
 * protocol to one that is far away (`ByteLink`). The twin and device files are machine links by themselves; everything else is a
 * byte link with a session on it (session-client.ts).
 */
import type { TuttiError } from '../errors.js';
import type { MachineConfig } from '../snn/machine/config.js';

/** Words to a machine and back, in order, nothing lost, nothing twice, until `lost`. */
export interface WordLink {
  /** For people: "RTL twin", "tcp://pynq:7654". */
  readonly name: string;
  /** Queues words for the machine; resolves when there is room for more. One call at a time. @throws why the link was lost */
  send(words: Uint32Array): Promise<void>;
  /** Output words, at least one, as soon as there are any. One call at a time. @throws why the link was lost */
  receive(): Promise<Uint32Array>;
  /** Resolves when the link is gone and says why; after `close` with DEVICE_CLOSED. Never rejects. */
  readonly lost: Promise<TuttiError>;
  close(): Promise<void>;
}

/** The machine's AXI-Lite port (register-map.ts). Byte addresses. */
export interface RegisterPort {
  /** @throws why the link was lost, DEVICE_FAILED when there is no answer in time */
  read(address: number): Promise<number>;
  write(address: number, value: number): Promise<void>;
}

/** A link that has just been opened has a machine behind it that has just been reset: no words on their way, no program. */
export interface MachineLink extends WordLink {
  /** Missing where only the streams can be reached; then `machine` says what is there. */
  readonly registers?: RegisterPort;
  /** The machine's configuration as the user gave it; otherwise it is read from the registers. */
  readonly machine?: MachineConfig;
  /**
   * A machine whose clock stands still when this process does. It wants each sample in one `send`, so that none of its cycles is spent
   * waiting for a word, and it may take long.
   */
  readonly simulated?: true;
  /** What a person should know of this link. */
  readonly notices?: readonly string[];
}

/** Opens a link, and again after a loss. */
export type OpenMachineLink = (signal?: AbortSignal) => Promise<MachineLink>;

/** Bytes both ways. May lose, damage, double or cut them, and may end at any time: the session above it makes up for that. */
export interface ByteLink {
  readonly name: string;
  /** Sends, or drops when the link is gone; resolves when there is room for more. `bytes` is not touched afterwards. */
  send(bytes: Uint8Array): Promise<void>;
  /** Called with whatever arrives; bytes that came before are kept for it. One listener. */
  listen(listener: (bytes: Uint8Array) => void): void;
  /** Resolves with the reason when the link has ended and all that it stood on is free again; also after `close`. Never rejects. */
  readonly ended: Promise<string>;
  /** Ends the link, once what was sent before has left. */
  close(): void;
}

/** Connects, and again after a drop. @throws TuttiError DEVICE_UNAVAILABLE saying what could not be reached */
export type DialByteLink = (signal?: AbortSignal) => Promise<ByteLink>;

/** For messages: what does in a page what only Node can do. */
export const IN_A_PAGE = 'use ws://, wss:// or WebSerial to reach a board';
