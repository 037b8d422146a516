/** Pictures of digits, rasters and potentials for a terminal. */
import pc from 'picocolors';
import { spikesAt, type RunResult, type SpikeTrain } from '../snn/index.js';

const SIDE = 28;
const SHADES = ' ░▒▓█';
/** Bits of a braille character's dots, by row and column. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

export function accuracyOf(truth: Uint8Array, labels: readonly number[]): number {
  return labels.filter((label, i) => label === truth[i]).length / truth.length;
}

export function confusionMatrix(truth: Uint8Array, labels: readonly number[]): number[][] {
  const matrix = Array.from({ length: 10 }, () => new Array<number>(10).fill(0));
  labels.forEach((label, i) => matrix[truth[i]!]![label]!++);
  return matrix;
}

/** The image on the left; on the right who fired when, and the class potentials at the end. */
export function drawDigit(images: Uint8Array, result: RunResult, sample: number, truth: number): string {
  const image = images.subarray(sample * SIDE * SIDE, (sample + 1) * SIDE * SIDE);
  const left = Array.from({ length: SIDE / 2 }, (_, row) =>
    Array.from({ length: SIDE }, (_, x) => {
      const value = (image[2 * row * SIDE + x]! + image[(2 * row + 1) * SIDE + x]!) / 2;
      return SHADES[Math.min(SHADES.length - 1, Math.floor((value / 256) * SHADES.length))]!;
    }).join(''),
  );
  const potentials = result.final['output']!.subarray(sample * 10, sample * 10 + 10);
  const [low, high] = [Math.min(...potentials), Math.max(...potentials)];
  const answer = potentials.indexOf(high);
  const bars = Array.from(potentials, (value, digit) => {
    const bar = '█'.repeat(1 + Math.round((24 * (value - low)) / Math.max(1, high - low)));
    const line = `${digit} ${bar} ${value}`;
    return digit === answer ? (answer === truth ? pc.green(line) : pc.red(line)) : pc.dim(line);
  });
  const right = [
    pc.dim('input spikes (784 pixels across, steps down)'),
    ...braille(result.spikes['input']!, sample).map((line) => pc.yellow(line)),
    pc.dim('hidden spikes'),
    ...braille(result.spikes['hidden']!, sample).map((line) => pc.cyan(line)),
    ...bars,
  ];
  const height = Math.max(left.length, right.length);
  return Array.from({ length: height }, (_, i) => `  ${left[i] ?? ' '.repeat(SIDE)}   ${right[i] ?? ''}`).join('\n');
}

/** Neurons across (64 characters of two dots), steps down (four to a character). */
function braille(train: SpikeTrain, sample: number): readonly string[] {
  const columns = 64;
  const rows = Math.ceil(train.steps / 4);
  const cells = Array.from({ length: rows }, () => new Uint8Array(columns));
  for (let step = 0; step < train.steps; step++) {
    for (const id of spikesAt(train, step, sample)) {
      const dot = Math.floor((id * columns * 2) / train.neurons);
      cells[step >> 2]![dot >> 1]! |= DOTS[step & 3]![dot & 1]!;
    }
  }
  return cells.map((row) => Array.from(row, (bits) => String.fromCharCode(0x2800 + bits)).join(''));
}
