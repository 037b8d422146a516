/** The inside of a JSON string, byte by byte: well-formed UTF-8 and whole escapes. */

/** Between characters. */
export const PLAIN = 0;
/** After a backslash. */
export const ESCAPE = 1;
/** The letter that begins four hexadecimal digits there. */
export const UNICODE = 0x75;
/** 2 .. 5: so many hexadecimal digits less one are missing. */
const HEX = 5;
/** Continuation bytes that are missing: 10 one, 11 two, 12 three; then those whose next byte has narrower limits. */
const NARROW: Readonly<Record<number, readonly [least: number, most: number, next: number]>> = {
  10: [0x80, 0xbf, PLAIN],
  11: [0x80, 0xbf, 10],
  12: [0x80, 0xbf, 11],
  13: [0xa0, 0xbf, 10], // after E0
  14: [0x80, 0x9f, 10], // after ED
  15: [0x90, 0xbf, 11], // after F0
  16: [0x80, 0x8f, 11], // after F4
};
const ESCAPES: ReadonlySet<number> = new Set([...'"\\/bfnrt'].map((letter) => letter.charCodeAt(0)));

/** The place after `byte`; undefined when it cannot stand here. The quote that ends a string is its caller's. */
export function nextInString(place: number, byte: number): number | undefined {
  if (place === PLAIN) {
    if (byte < 0x20 || byte === 0x22) return undefined;
    if (byte === 0x5c) return ESCAPE;
    if (byte < 0x80) return PLAIN;
    if (byte >= 0xc2 && byte <= 0xdf) return 10;
    if (byte === 0xe0) return 13;
    if (byte === 0xed) return 14;
    if (byte >= 0xe1 && byte <= 0xef) return 11;
    if (byte === 0xf0) return 15;
    if (byte >= 0xf1 && byte <= 0xf3) return 12;
    return byte === 0xf4 ? 16 : undefined;
  }
  if (place === ESCAPE) return ESCAPES.has(byte) ? PLAIN : byte === UNICODE ? HEX : undefined;
  if (place <= HEX) {
    const hexadecimal = (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
    if (!hexadecimal) return undefined;
    return place === 2 ? PLAIN : place - 1;
  }
  const [least, most, next] = NARROW[place]!;
  return byte >= least && byte <= most ? next : undefined;
}
