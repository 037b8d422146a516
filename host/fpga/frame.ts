/**
 * Frames of the protocol (protocol.ts, docs/fpga.md): coding, and finding them again in a stream of bytes that may have been
 * damaged, cut or joined. A frame that is not whole and right is dropped; whoever sent it sends it again.
 */
import { crc32 } from '../crc32.js';
import { FRAME, HEADER_BYTES, MAX_PAYLOAD_WORDS, PROTOCOL_VERSION, SYNC, type FrameType } from './protocol.js';

export interface Frame {
  readonly type: FrameType;
  readonly session: number;
  readonly sequence: number;
  readonly acknowledge: number;
  readonly limit: number;
  readonly payload: Uint32Array;
}

export interface FrameReader {
  push(bytes: Uint8Array): void;
  /** Bytes that belonged to no frame. */
  readonly dropped: number;
  /** Headers and payloads whose CRC was wrong. */
  readonly damaged: number;
}

export interface FrameListener {
  readonly onFrame: (frame: Frame) => void;
  /** A whole header of another version of the protocol. */
  readonly onVersion: (version: number) => void;
}

const TYPES = new Map(Object.entries(FRAME).map(([name, code]) => [code as number, name as FrameType]));
const EMPTY = new Uint32Array(0);
const LONGEST = HEADER_BYTES + 4 * MAX_PAYLOAD_WORDS + 4;

/** Fields that are left out are 0. */
export function encodeFrame(
  frame: Partial<Frame> & Pick<Frame, 'type' | 'session'>,
  version = PROTOCOL_VERSION,
): Uint8Array {
  const { payload = EMPTY } = frame;
  const bytes = new Uint8Array(HEADER_BYTES + (payload.length > 0 ? 4 * payload.length + 4 : 0));
  const view = new DataView(bytes.buffer);
  bytes.set(SYNC);
  bytes[2] = version;
  bytes[3] = FRAME[frame.type];
  view.setUint32(4, frame.session, true);
  view.setUint32(8, frame.sequence ?? 0, true);
  view.setUint32(12, frame.acknowledge ?? 0, true);
  view.setUint32(16, frame.limit ?? 0, true);
  view.setUint32(20, payload.length, true);
  view.setUint32(24, crc32(bytes, 0, 24), true);
  if (payload.length > 0) {
    for (let i = 0; i < payload.length; i++) view.setUint32(HEADER_BYTES + 4 * i, payload[i]!, true);
    view.setUint32(bytes.length - 4, crc32(bytes, HEADER_BYTES, bytes.length - 4), true);
  }
  return bytes;
}

/** Takes bytes as they come, in any portions; holds back at most one frame. */
export function createFrameReader({ onFrame, onVersion }: FrameListener): FrameReader {
  let held = new Uint8Array(2 * LONGEST);
  let from = 0;
  let until = 0;
  let dropped = 0;
  let damaged = 0;

  /** Takes one frame or some waste off the front; false when more bytes are needed. */
  const step = (): boolean => {
    while (from < until && (held[from] !== SYNC[0] || (from + 1 < until && held[from + 1] !== SYNC[1]))) {
      from++;
      dropped++;
    }
    if (until - from < HEADER_BYTES) return false;
    const view = new DataView(held.buffer, from, until - from);
    const waste = (): true => {
      from++;
      dropped++;
      return true;
    };
    if (view.getUint32(24, true) !== crc32(held, from, from + 24)) {
      damaged++;
      return waste();
    }
    const version = view.getUint8(2);
    const words = view.getUint32(20, true);
    const type = TYPES.get(view.getUint8(3));
    if (version !== PROTOCOL_VERSION) {
      onVersion(version);
      from += HEADER_BYTES;
      return true;
    }
    if (type === undefined || words > MAX_PAYLOAD_WORDS) return waste();
    const length = HEADER_BYTES + (words > 0 ? 4 * words + 4 : 0);
    if (until - from < length) return false;
    if (words > 0 && view.getUint32(length - 4, true) !== crc32(held, from + HEADER_BYTES, from + length - 4)) {
      // Bytes may be missing, and the next frame may have been taken for this one's payload: it is looked for in there.
      damaged++;
      return waste();
    }
    const payload = words > 0 ? new Uint32Array(words) : EMPTY;
    for (let i = 0; i < words; i++) payload[i] = view.getUint32(HEADER_BYTES + 4 * i, true);
    const frame: Frame = {
      type,
      session: view.getUint32(4, true),
      sequence: view.getUint32(8, true),
      acknowledge: view.getUint32(12, true),
      limit: view.getUint32(16, true),
      payload,
    };
    from += length;
    onFrame(frame);
    return true;
  };

  return {
    push(bytes) {
      for (let at = 0; at < bytes.length;) {
        const part = bytes.subarray(at, at + LONGEST);
        at += part.length;
        if (until + part.length > held.length) {
          // `held` is replaced, not shifted: a listener may push while a frame is being taken.
          const next = new Uint8Array(Math.max(held.length, until - from + part.length));
          next.set(held.subarray(from, until));
          held = next;
          until -= from;
          from = 0;
        }
        held.set(part, until);
        until += part.length;
        while (step());
      }
    },
    get dropped() {
      return dropped;
    },
    get damaged() {
      return damaged;
    },
  };
}

/** UTF-8 in words, padded with zeros, cut to what one payload holds. */
export function textWords(text: string, before: readonly number[] = []): Uint32Array {
  const bytes = new TextEncoder().encode(text).subarray(0, 4 * (MAX_PAYLOAD_WORDS - before.length));
  const words = new Uint32Array(before.length + Math.ceil(bytes.length / 4));
  words.set(before);
  bytes.forEach((byte, i) => (words[before.length + (i >> 2)]! |= byte << (8 * (i & 3))));
  return words;
}

export function wordsText(words: Uint32Array): string {
  const bytes = Uint8Array.from({ length: 4 * words.length }, (_, i) => words[i >> 2]! >>> (8 * (i & 3)));
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end)).slice(0, 2000);
}
