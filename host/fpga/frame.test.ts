import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../crc32.js';
import { createFrameReader, encodeFrame, textWords, wordsText, type Frame } from './frame.js';
import { seeded } from './fixtures/link-pair.js';
import { FRAME, HEADER_BYTES, MAX_PAYLOAD_WORDS, PROTOCOL_VERSION, type FrameType } from './protocol.js';

const word = fc.nat({ max: 0xffffffff });
const frame = fc.record({
  type: fc.constantFrom(...(Object.keys(FRAME) as FrameType[])),
  session: word,
  sequence: word,
  acknowledge: word,
  limit: word,
  payload: fc.array(word, { maxLength: 40 }).map((words) => Uint32Array.from(words)),
});

function read(...parts: readonly Uint8Array[]): {
  frames: Frame[];
  versions: number[];
  dropped: number;
  damaged: number;
} {
  const frames: Frame[] = [];
  const versions: number[] = [];
  const reader = createFrameReader({ onFrame: (f) => frames.push(f), onVersion: (v) => versions.push(v) });
  for (const part of parts) reader.push(part);
  return { frames, versions, dropped: reader.dropped, damaged: reader.damaged };
}

const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

describe('frames', () => {
  it('uses the CRC-32 that everybody uses', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  });

  it('come out as they went in, in any portions, one or many', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 5 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 60 })),
        (frames, sizes) => {
          const bytes = join(...frames.map((f) => encodeFrame(f)));
          const parts: Uint8Array[] = [];
          for (let at = 0; at < bytes.length;) {
            const size = sizes.next().value as number;
            parts.push(bytes.subarray(at, (at += size)));
          }
          const result = read(...parts);
          expect(result.frames).toEqual(frames);
          expect(result).toMatchObject({ dropped: 0, damaged: 0, versions: [] });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('may be as long as they may be, and no longer', () => {
    const payload = Uint32Array.from({ length: MAX_PAYLOAD_WORDS }, (_, i) => i);
    const bytes = encodeFrame({ type: 'data', session: 1, payload });
    expect(read(bytes, bytes, bytes).frames.map((f) => f.payload.length)).toEqual(Array(3).fill(MAX_PAYLOAD_WORDS));
    const long = encodeFrame({ type: 'data', session: 1, payload: new Uint32Array(MAX_PAYLOAD_WORDS + 1) });
    const good = encodeFrame({ type: 'bye', session: 2 });
    expect(read(long, good).frames).toMatchObject([{ type: 'bye', session: 2 }]);
  });

  it('are found again after waste, damage and cuts', () => {
    const good = (sequence: number): Uint8Array =>
      encodeFrame({ type: 'data', session: 1, sequence, payload: Uint32Array.of(7, 8, 9) });
    const damagedHeader = good(1);
    damagedHeader[9]! ^= 4;
    const damagedPayload = good(2);
    damagedPayload[HEADER_BYTES + 2]! ^= 1;
    const waste = Uint8Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? 0x54 : i % 3 === 1 ? 0x55 : 1));
    const { frames, damaged, dropped } = read(
      join(waste, good(0), damagedHeader, good(3), damagedPayload, good(4), good(5).subarray(0, 33), good(6), good(7)),
    );
    expect(frames.map((f) => f.sequence)).toEqual([0, 3, 4, 6, 7]);
    expect(damaged).toBeGreaterThanOrEqual(3);
    expect(dropped).toBeGreaterThanOrEqual(waste.length);
  });

  it('of another version are told from waste', () => {
    const { frames, versions } = read(
      encodeFrame({ type: 'hello', session: 5 }, PROTOCOL_VERSION + 1),
      encodeFrame({ type: 'bye', session: 5 }),
    );
    expect(versions).toEqual([PROTOCOL_VERSION + 1]);
    expect(frames).toMatchObject([{ type: 'bye' }]);
  });

  it('are never made up, and never hidden, in 120,000 streams of damaged and random bytes', () => {
    const random = seeded(20240607);
    const below = (n: number): number => Math.floor(random() * n);
    let whole = 0;
    for (let round = 0; round < 120_000; round++) {
      const sent = encodeFrame({
        type: 'data',
        session: 77,
        sequence: round,
        payload: Uint32Array.from({ length: below(6) }, () => below(2 ** 32)),
      });
      const bytes = sent.slice();
      const kind = below(4);
      if (kind === 0) for (let i = 0; i < bytes.length; i++) bytes[i] = below(256);
      else if (kind === 1) bytes[below(bytes.length)]! ^= 1 << below(8);
      const cut = kind === 2 ? bytes.subarray(0, below(bytes.length)) : bytes;
      const last = encodeFrame({ type: 'acknowledge', session: 77, sequence: round });
      // A frame that was cut may swallow what follows until its length is full; what is repeated gets through.
      const { frames } = read(cut, last, last, last);
      expect(frames.length >= 1 && frames.length <= 4).toBe(true);
      for (const f of frames) {
        if (f.sequence !== round || f.session !== 77) throw new Error(`round ${round}: a frame was made up`);
      }
      expect(frames.at(-1)!.type).toBe('acknowledge');
      if (frames[0]!.type === 'data') whole++;
      else if (kind === 3) throw new Error(`round ${round}: a good frame was lost`);
    }
    expect(whole).toBeGreaterThan(25_000);
  });

  it('carry text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        fc.pre(!text.includes('\0'));
        expect(wordsText(textWords(text, [3]).subarray(1))).toBe(text);
      }),
    );
  });
});
