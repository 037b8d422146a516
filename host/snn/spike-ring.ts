/**
 * A population's spikes on the device: a ring of steps (docs/kernels.md, "Spike streams"), step s in slot s % slots. It
 * holds at least the steps that axonal delays reach back to; when the population is recorded, the ring is the recording.
 */
import type { DeviceBuffer } from '../device/device.js';
import type { BufferScope } from './buffer-scope.js';
import { spikesAt, type SpikeTrain } from './spike-train.js';

/** Where the spikes of a step come from: a train and the step within it; undefined when nobody fires. */
export type SpikeSource = (step: number) => readonly [train: SpikeTrain, step: number] | undefined;

export interface SpikeRing {
  readonly index: DeviceBuffer;
  readonly ids: DeviceBuffer;
  readonly slots: number;
  /** Changes the number of slots. What the ring holds is lost: read it before, write it after. */
  fit(slots: number, batch: number): void;
  /** Replaces the whole content by steps `from .. to - 1` (at most `slots` of them). */
  write(batch: number, from: number, to: number, source: SpikeSource): void;
  /** Fast path of `write` for an input from step 0: the train's own arrays, then silence up to `steps`. */
  writeTrain(train: SpikeTrain, steps: number): void;
  /** Steps `from .. to - 1` of what neurons fired. */
  read(batch: number, from: number, to: number): Promise<SpikeTrain>;
}

export interface SpikeRingOptions {
  readonly name: string;
  readonly neurons: number;
  /** How often a neuron may fire in one step. */
  readonly most: number;
  /** Written by the host (ids lie one after the other) or by spikeCompact or spikeExpand (every list has room for all neurons). */
  readonly writer: 'host' | 'device';
  readonly slots: number;
  readonly batchCapacity: number;
}

export function createSpikeRing(scope: BufferScope, options: SpikeRingOptions): SpikeRing {
  const { name, neurons, batchCapacity } = options;
  const { device } = scope;
  const packed = options.writer === 'host';
  /** Room of a list that the device writes. */
  const room = neurons * options.most;
  let { slots } = options;
  let index = scope.allocate(`${name} spike index`, 8 * slots * batchCapacity);
  let ids = scope.allocate(`${name} spikes`, packed ? 4 * batchCapacity : 4 * slots * batchCapacity * room);

  return {
    get index() {
      return index;
    },
    get ids() {
      return ids;
    },
    get slots() {
      return slots;
    },
    fit(wanted, batch) {
      index = scope.grow(index, `${name} spike index`, 8 * wanted * batch);
      if (!packed) ids = scope.grow(ids, `${name} spikes`, 4 * wanted * batch * room);
      slots = wanted;
    },
    write(batch, from, to, source) {
      const pairs = new Uint32Array(2 * slots * batch);
      let total = packed ? 0 : slots * batch * room;
      for (let step = from; packed && step < to; step++) {
        const found = source(step);
        for (let b = 0; found !== undefined && b < batch; b++) total += found[0].index[2 * (found[1] * batch + b) + 1]!;
      }
      const list = new Uint32Array(total);
      let next = 0;
      for (let step = from; step < to; step++) {
        const found = source(step);
        if (found === undefined) continue;
        for (let b = 0; b < batch; b++) {
          const spikes = spikesAt(found[0], found[1], b);
          const at = (step % slots) * batch + b;
          const start = packed ? next : at * room;
          pairs[2 * at] = start;
          pairs[2 * at + 1] = spikes.length;
          list.set(spikes, start);
          next += spikes.length;
        }
      }
      ids = scope.grow(ids, `${name} spikes`, list.byteLength);
      device.write(index, pairs);
      if (total > 0) device.write(ids, list);
    },
    writeTrain(train, steps) {
      ids = scope.grow(ids, `${name} spikes`, train.ids.byteLength);
      device.write(index, train.index);
      const silent = 8 * (steps - train.steps) * train.batch;
      if (silent > 0) device.write(index, new Uint8Array(silent), train.index.byteLength);
      if (train.ids.length > 0) device.write(ids, train.ids);
    },
    async read(batch, from, to) {
      const ringSlots = slots;
      const [pairs, list] = (
        await Promise.all([device.read(index, 0, 8 * slots * batch), device.read(ids, 0, 4 * slots * batch * room)])
      ).map((bytes) => new Uint32Array(bytes)) as [Uint32Array, Uint32Array];
      const pairOf = (i: number): number => 2 * (((from + Math.floor(i / batch)) % ringSlots) * batch + (i % batch));
      const steps = to - from;
      const found = new Uint32Array(2 * steps * batch);
      let total = 0;
      for (let i = 0; i < steps * batch; i++) {
        found[2 * i] = total;
        total += found[2 * i + 1] = pairs[pairOf(i) + 1]!;
      }
      const spikes = new Uint32Array(total);
      for (let i = 0; i < steps * batch; i++) {
        const start = pairs[pairOf(i)]!;
        spikes.set(list.subarray(start, start + found[2 * i + 1]!), found[2 * i]);
      }
      return { kind: 'spikes', steps, batch, neurons, index: found, ids: spikes };
    },
  };
}
