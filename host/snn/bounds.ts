/**
 * How far a fixed-point potential can go. Kernels add in wrapping int32, so a network whose potentials could leave that
 * range must be refused beforehand, not found out by a wrong label.
 */
import { valueAt, type FixedPopulation, type FixedProjection } from './network.js';

const INT32_MAX = 2 ** 31 - 1;

/** Largest positive and negative input per neuron and step. */
export interface InputRange {
  readonly up: Float64Array;
  readonly down: Float64Array;
}

export function addProjectionRange(
  range: InputRange,
  projection: FixedProjection,
  preSize: number,
  maxSpikesPerStep: number,
): void {
  const { up, down } = range;
  const factor = 2 ** projection.shift * maxSpikesPerStep;
  const { weights } = projection;
  const add = (post: number, weight: number): void => {
    if (weight > 0) up[post]! += weight * factor;
    else down[post]! -= weight * factor;
  };
  // A neuron's spikes of different steps never arrive together: its delay is one number.
  switch (projection.kind) {
    case 'dense':
      for (let at = 0, pre = 0; pre < preSize; pre++)
        for (let post = 0; post < up.length; post++) add(post, weights[at++]!);
      return;
    case 'sparse':
      for (let k = 0; k < weights.length; k++) add(projection.columns[k]!, weights[k]!);
      return;
    case 'convolution': {
      // Away from the borders every kernel element meets each output once.
      const [channels, height, width] = projection.outputShape;
      const plane = height * width;
      for (let channel = 0; channel < channels; channel++) {
        let most = 0;
        let least = 0;
        for (let k = channel; k < weights.length; k += channels) {
          if (weights[k]! > 0) most += weights[k]! * factor;
          else least -= weights[k]! * factor;
        }
        for (let n = channel * plane; n < (channel + 1) * plane; n++) {
          up[n]! += most;
          down[n]! += least;
        }
      }
    }
  }
}

/**
 * Steps after which no potential of `population` can have left -limit - 1 .. limit (int32 unless told), given inputs within `range` (bias
 * excluded) and `extra` more in either direction (an injected current). 0 when the first step may overflow, Infinity when it never can.
 */
export function safeSteps(
  population: FixedPopulation,
  range: InputRange | undefined,
  extra = 0,
  limit = INT32_MAX,
): number {
  let steps = Infinity;
  const spiking = population.threshold !== undefined;
  const subtract = population.reset?.kind === 'subtract';
  const uniform =
    range === undefined &&
    [population.leakShift ?? 0, population.bias, population.initial, population.threshold ?? 0].every(
      (parameter) => typeof parameter === 'number',
    ) &&
    (population.reset?.kind !== 'value' || typeof population.reset.value === 'number');

  for (let n = 0; n < (uniform ? 1 : population.size); n++) {
    const bias = valueAt(population.bias, n);
    const up = (range?.up[n] ?? 0) + extra + Math.max(bias, 0);
    const down = (range?.down[n] ?? 0) + extra + Math.max(-bias, 0);
    const initial = valueAt(population.initial, n);
    const threshold = population.threshold === undefined ? 0 : valueAt(population.threshold, n);
    const reset = population.reset?.kind === 'value' ? valueAt(population.reset.value, n) : 0;
    const leakShift = valueAt(population.leakShift ?? 0, n);

    // Where it can stand before the first step's input, and how far it can drift in each further step.
    const top = Math.max(initial, reset, spiking ? threshold : 0, 0);
    const bottom = Math.max(-initial, -reset, 0);
    let rise = up;
    if (spiking) rise = subtract ? Math.max(0, up - threshold * (population.maxSpikesPerStep ?? 1)) : 0;
    const drift = Math.max(rise, down);
    const reach = Math.max(top + up, bottom + down);
    // `input + bias` is summed on its own before the potential joins, so it must fit as well.
    if (Math.max(reach, up, down) > limit) return 0;
    if (drift === 0) continue;
    // With a leak the potential settles where v >> leakShift balances the input, at the latest.
    if (leakShift > 0) {
      const most = Math.max(up, down);
      if (Math.max(top, bottom, 2 ** leakShift * (most + 1)) + most <= limit) continue;
    }
    steps = Math.min(steps, 1 + Math.floor((limit - reach) / drift));
  }
  return steps;
}
