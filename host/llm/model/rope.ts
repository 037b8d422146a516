/** Rotary position embeddings: the angle by which each pair of a head's elements is turned at each position. */

/** YaRN (Peng and others, 2023): slow pairs are slowed down by the factor, fast ones are kept, a ramp between them. */
export interface YarnScaling {
  readonly factor: number;
  /** Positions that the model was trained for before it was stretched. */
  readonly context: number;
  /** Turns over `context` of the pairs at the ends of the ramp. */
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Rotated elements are multiplied by it. */
  readonly magnitude: number;
}

export interface RopeConfig {
  readonly base: number;
  /** Elements of a head that are rotated. */
  readonly rotated: number;
  /** Pairs element i with i + rotated / 2 instead of its neighbour. */
  readonly halves: boolean;
  /** Linear scaling: positions are divided by it. */
  readonly factor: number;
  /** [rotated / 2]: what each pair's angle is divided by (Llama 3). */
  readonly divisors?: readonly number[];
  readonly yarn?: YarnScaling;
}

/** [positions][rotated / 2][cos, sin]. */
export function rotationTable(rope: RopeConfig, positions: number): Float32Array {
  const { rotated } = rope;
  const magnitude = rope.yarn?.magnitude ?? 1;
  const frequencies = pairFrequencies(rope);
  const table = new Float32Array(positions * rotated);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < rotated / 2; i++) {
      const angle = p * frequencies[i]!;
      table[p * rotated + 2 * i] = magnitude * Math.cos(angle);
      table[p * rotated + 2 * i + 1] = magnitude * Math.sin(angle);
    }
  }
  return table;
}

/** Radians to a position, of each pair. */
function pairFrequencies({ base, rotated, factor, divisors, yarn }: RopeConfig): number[] {
  const ramp = yarn && yarnRamp(base, rotated, yarn);
  return Array.from({ length: rotated / 2 }, (_, i) => {
    const kept = base ** ((-2 * i) / rotated) / factor / (divisors?.[i] ?? 1);
    return ramp ? kept * (1 - ramp[i]!) + (kept / yarn.factor) * ramp[i]! : kept;
  });
}

/** 0 where a pair is kept, 1 where it is slowed down. */
function yarnRamp(base: number, rotated: number, { context, betaFast, betaSlow }: YarnScaling): number[] {
  /** The pair that turns so often over the context. */
  const pairOf = (turns: number): number =>
    (rotated * Math.log(context / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairOf(betaFast)));
  const high = Math.min(rotated - 1, Math.ceil(pairOf(betaSlow)));
  return Array.from({ length: rotated / 2 }, (_, i) =>
    Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low))),
  );
}

/** How much YaRN makes rotated elements longer unless a model says otherwise. */
export const yarnMagnitude = (factor: number): number => (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1);

export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFrequency: number;
  readonly highFrequency: number;
  /** Positions that the model was trained for before it was stretched. */
  readonly context: number;
}

/** What Llama 3.1 divides each pair's angle by: long waves by the factor, short ones not, a ramp between them. */
export function llama3Divisors(
  base: number,
  rotated: number,
  { factor, lowFrequency, highFrequency, context }: Llama3Scaling,
): number[] {
  return Array.from({ length: rotated / 2 }, (_, i) => {
    const turns = (context * base ** ((-2 * i) / rotated)) / (2 * Math.PI);
    if (turns > highFrequency) return 1;
    if (turns < lowFrequency) return factor;
    const kept = (turns - lowFrequency) / (highFrequency - lowFrequency);
    return 1 / ((1 - kept) / factor + kept);
  });
}
