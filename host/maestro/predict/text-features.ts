/**
 * Text as a few numbers: words and pairs of words, hashed to signed places of a short vector of unit length. Only the two ends of a text are read, where
 * instructions stand, so that a prompt of a megabyte costs what a page costs.
 */
import { mix32 } from '../../random.js';

/** Characters read from each end. */
const END = 320;

/** Adds `text` to `into` from `at` on, `width` places. Words are letters and digits, in lower case. */
export function addTextFeatures(text: string, into: Float64Array, at: number, width: number): void {
  for (let k = 0; k < width; k++) into[at + k] = 0;
  if (text.length <= 2 * END) hashWords(text, 0, text.length, into, at, width);
  else {
    hashWords(text, 0, END, into, at, width);
    hashWords(text, text.length - END, text.length, into, at, width);
  }
  let square = 0;
  for (let k = 0; k < width; k++) square += into[at + k]! ** 2;
  if (square === 0) return;
  const scale = 1 / Math.sqrt(square);
  for (let k = 0; k < width; k++) into[at + k] = into[at + k]! * scale;
}

function hashWords(text: string, from: number, to: number, into: Float64Array, at: number, width: number): void {
  let [word, before, inside] = [0, 0, false];
  for (let k = from; k <= to; k++) {
    const code = k < to ? text.charCodeAt(k) : 32;
    const lower = code >= 65 && code <= 90 ? code + 32 : code;
    const letter = (lower >= 97 && lower <= 122) || (lower >= 48 && lower <= 57) || lower > 127;
    if (letter) {
      word = Math.imul(word ^ lower, 0x01000193);
      inside = true;
    } else if (inside) {
      add(mix32(word), into, at, width);
      if (before !== 0) add(mix32(Math.imul(before, 31) + word), into, at, width);
      [before, word, inside] = [word, 0, false];
    }
  }
}

function add(hash: number, into: Float64Array, at: number, width: number): void {
  const place = at + ((hash >>> 1) % width);
  into[place] = into[place]! + (hash & 1 ? 1 : -1);
}
