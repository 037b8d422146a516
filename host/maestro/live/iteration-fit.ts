/**
 * What iterations of a model take on a node, learned from those that were run: a line over the sequences that decode, the prompt tokens and the tokens
 * attended to by all rows (least squares, older ones fading). Gives what policies ask a node for.
 */
import type { MeasuredIteration } from '../../llm/batching/loop-watch.js';

export interface IterationFit {
  /** Iterations seen. */
  readonly count: number;
  note(iteration: MeasuredIteration): void;
  /** Seconds of an iteration. */
  seconds(decoding: number, prompt: number, context: number): number;
}

const TERMS = 4;
const FADE = 0.995;
/** Before anything is measured: seconds of an iteration, of a sequence, of a prompt token, of a thousand tokens of context. */
const GUESS = [0.005, 0.002, 0.001, 0.001] as const;
/** Iterations that the guess counts for. */
const GUESS_WEIGHT = 2;

/** `fades`: older iterations count less. Without, all count alike, in parts of what each took. Default true. */
export function createIterationFit({ fades = true }: { readonly fades?: boolean } = {}): IterationFit {
  const fade = fades ? FADE : 1;
  const products = new Float64Array(TERMS * TERMS);
  const sums = new Float64Array(TERMS);
  let slopes: readonly number[] = GUESS;
  let fresh = true;
  let count = 0;
  // The guess as a few measurements, each of one term, so that the equations always have an answer.
  for (let k = 0; k < TERMS; k++) {
    products[k * TERMS + k] = GUESS_WEIGHT;
    sums[k] = GUESS_WEIGHT * GUESS[k]!;
  }

  function solved(): readonly number[] {
    if (fresh) return slopes;
    fresh = true;
    slopes = solvePositive(products, sums);
    return slopes;
  }

  return {
    get count() {
      return count;
    },
    note({ decoding, prompt, context, seconds }) {
      if (!(seconds > 0)) return;
      count++;
      const weight = fades ? 1 : 1 / seconds;
      const row = [weight, decoding * weight, prompt * weight, (context / 1000) * weight];
      for (let i = 0; i < TERMS; i++) {
        for (let j = 0; j < TERMS; j++) products[i * TERMS + j] = fade * products[i * TERMS + j]! + row[i]! * row[j]!;
        sums[i] = fade * sums[i]! + row[i]! * seconds * weight;
      }
      // What fades of the guess is kept at a trace of itself.
      for (let k = 0; k < TERMS; k++) products[k * TERMS + k]! += 1e-6;
      fresh = false;
    },
    seconds(decoding, prompt, context) {
      const [fixed, sequence, token, thousand] = solved();
      return Math.max(1e-6, fixed! + sequence! * decoding + token! * prompt + (thousand! * context) / 1000);
    },
  };
}

/** Least squares from its normal equations, no slope below 0: who would be is left out. */
function solvePositive(products: Float64Array, sums: Float64Array): readonly number[] {
  const used = Array.from({ length: TERMS }, () => true);
  for (;;) {
    const slopes = solve(products, sums, used);
    const negative = slopes.findIndex((slope, k) => used[k]! && slope < 0);
    if (negative < 0) return slopes;
    used[negative] = false;
  }
}

function solve(products: Float64Array, sums: Float64Array, used: readonly boolean[]): number[] {
  const places = used.flatMap((own, k) => (own ? [k] : []));
  const n = places.length;
  const m = places.map((i) => [...places.map((j) => products[i * TERMS + j]!), sums[i]!]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++) {
      if (Math.abs(m[row]![column]!) > Math.abs(m[pivot]![column]!)) pivot = row;
    }
    [m[column], m[pivot]] = [m[pivot]!, m[column]!];
    const head = m[column]!;
    if (Math.abs(head[column]!) < 1e-12) continue;
    for (let row = 0; row < n; row++) {
      if (row === column) continue;
      const factor = m[row]![column]! / head[column]!;
      for (let k = column; k <= n; k++) m[row]![k]! -= factor * head[k]!;
    }
  }
  const slopes = new Array<number>(TERMS).fill(0);
  places.forEach((place, k) => {
    const diagonal = m[k]![k]!;
    slopes[place] = Math.abs(diagonal) < 1e-12 ? 0 : m[k]![n]! / diagonal;
  });
  return slopes;
}
