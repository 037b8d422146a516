/** How spiking kernels read a spike stream (docs/kernels.md, "Spike streams"), for the oracles. */

export interface StreamScalars {
  readonly batch: number;
  readonly slots: number;
  readonly origin: number;
  readonly delay: number;
}

/** Calls `visit(sample, id)` for every spike that arrives in `step`, in list order. */
export function forEachSpike(
  spikeIndex: Uint32Array,
  spikeIds: Uint32Array,
  stream: StreamScalars,
  step: number,
  visit: (sample: number, id: number) => void,
): void {
  const t = step - stream.origin - stream.delay;
  if (t < 0) return;
  for (let b = 0; b < stream.batch; b++) {
    const pair = 2 * ((t % stream.slots) * stream.batch + b);
    const start = spikeIndex[pair]!;
    const end = start + spikeIndex[pair + 1]!;
    for (let k = start; k < end; k++) visit(b, spikeIds[k]!);
  }
}

/** Words of a bit set of `neurons` bits. */
export const bitWords = (neurons: number): number => Math.ceil(neurons / 32);
