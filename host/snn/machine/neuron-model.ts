/** What the neuron unit computes, machine step by machine step, to the bit: also where a number leaves its width and wraps. */
import type { Program } from './program.js';

export interface NeuronModel {
  /** A sample of `steps` network steps begins. */
  begin(steps: number): void;
  /**
   * The next machine step. `sums` [neurons]: merged sums, set to 0. Writes the ids of neurons that fired, ascending, to `fired`; returns how
   * many there are.
   */
  step(sums: Int32Array | Float64Array, fired: Uint16Array): number;
  /** A neuron's potential; its initial one where its class has had no step yet. */
  potential(neuron: number): number;
  /** Whether a neuron's spikes are put out: [neurons]. */
  readonly recorded: Uint8Array;
  /** Whether a number has left its width; for the caller to reset. */
  overflow: boolean;
}

/** Refractory times and waits of the hardware are numbers of so many bits. */
const STEP_MASK = 0x3fff;

export function createNeuronModel(program: Program): NeuronModel {
  const { classes, neurons, neuronClass } = program;
  const unused = 32 - program.machine.potentialBits;
  const kept = (value: number): number => (value << unused) >> unused;
  const bias = Int32Array.from(program.bias, (value) => (value << 6) >> 6);
  const initial = classes.map((c) => kept(c.initial));
  const resetValue = classes.map((c) => kept(c.resetValue));
  const refractorySteps = classes.map((c) => Math.min(c.refractorySteps, STEP_MASK));
  const recorded = Uint8Array.from(neuronClass, (c) => Number(classes[c]!.record));
  // Neighbours of one class: [start, end) of neurons.
  const runs: { readonly kind: number; readonly from: number; readonly to: number }[] = [];
  for (let n = 0; n < neurons;) {
    let to = n + 1;
    while (to < neurons && neuronClass[to] === neuronClass[n]) to++;
    runs.push({ kind: neuronClass[n]!, from: n, to });
    n = to;
  }

  const v = new Int32Array(neurons);
  const refractory = new Uint16Array(neurons);
  const wait = classes.map(() => 0);
  const left = classes.map(() => 0);
  // Of each class in this step: 0 it rests, 1 it is computed, 2 for the first time.
  const active = classes.map(() => 0);
  let total = 0;

  const model: NeuronModel = {
    recorded,
    overflow: false,

    begin(steps) {
      total = steps;
      classes.forEach((c, k) => {
        wait[k] = c.skew & STEP_MASK;
        left[k] = steps;
      });
    },

    step(sums, fired) {
      let spikes = 0;
      let lost = false;
      for (let k = 0; k < classes.length; k++) {
        const now = wait[k] === 0 && left[k]! > 0;
        active[k] = !now ? 0 : left[k] === total ? 2 : 1;
        wait[k] = wait[k] === 0 ? (program.stretch - 1) & STEP_MASK : wait[k]! - 1;
        if (now) left[k]!--;
      }
      for (const { kind, from, to } of runs) {
        if (active[kind] === 0) {
          // Nothing arrives at a neuron that rests, unless the program is wrong: then it is lost as in the hardware.
          for (let n = from; n < to; n++) {
            if (sums[n] === 0) continue;
            if (kept(sums[n]!) !== sums[n]) lost = true;
            sums[n] = 0;
          }
          continue;
        }
        const c = classes[kind]!;
        const { leakShift, threshold, spiking, subtract } = c;
        if (active[kind] === 2) {
          v.fill(initial[kind]!, from, to);
          refractory.fill(0, from, to);
        }
        const after = refractorySteps[kind]!;
        const resetTo = resetValue[kind]!;
        for (let n = from; n < to; n++) {
          const merged = sums[n]!;
          sums[n] = 0;
          const sum = kept(merged);
          if (sum !== merged) lost = true;
          if (refractory[n]! > 0) {
            refractory[n]!--;
            continue;
          }
          const before = v[n]!;
          const exact = before - (leakShift > 0 ? before >> leakShift : 0) + sum + bias[n]!;
          const next = kept(exact);
          if (next !== exact) lost = true;
          if (spiking && next >= threshold) {
            fired[spikes++] = n;
            refractory[n] = after;
            if (subtract) {
              const less = next - threshold;
              v[n] = kept(less);
              if (v[n] !== less) lost = true;
            } else v[n] = resetTo;
          } else v[n] = next;
        }
      }
      if (lost) model.overflow = true;
      return spikes;
    },

    potential(neuron) {
      const kind = neuronClass[neuron]!;
      return left[kind] === total ? initial[kind]! : v[neuron]!;
    },
  };
  return model;
}
