/**
 * One run on one device: feeds the inputs, runs the steps in as few stretches as recording allows, reads back what was
 * asked for. Knows nothing of queues, pools or lost devices.
 */
import type { LongCallOptions } from '../device/device.js';
import type { CheckedRequest } from './engine-request.js';
import type { DeviceState, Stretch } from './engine-state.js';
import { fires, type Population, type SpikingNetwork } from './network.js';
import { joinTrains, type SpikeTrain } from './spike-train.js';

/** Membrane potentials step by step. */
export interface MembraneTrace {
  /** Which neurons were recorded. */
  readonly neurons: Uint32Array;
  /** [steps][batch][neurons.length]. */
  readonly values: Float32Array | Int32Array;
}

export interface RunOutputs {
  /** Spikes of each neuron over the run, [batch][neurons], for every population that fires, inputs excepted. */
  readonly spikeCounts: Readonly<Record<string, Uint32Array>>;
  readonly spikes: Readonly<Record<string, SpikeTrain>>;
  readonly membranes: Readonly<Record<string, MembraneTrace>>;
  /** Potentials at the end of the run, [batch][neurons]. */
  readonly final: Readonly<Record<string, Float32Array | Int32Array>>;
}

export interface RunPosition {
  /** Steps since the last fresh start. */
  readonly step: number;
  /** Spikes of input populations in the last steps before `step`, as far as delays reach back. */
  readonly history: ReadonlyMap<string, SpikeTrain>;
}

/**
 * `from`: where the state on the device stands; step 0 means a fresh start, for which the state is reset.
 * `stretchBytes`: how much is buffered on the device for one stretch of a recorded or driven run.
 */
export async function runOnState(
  network: SpikingNetwork,
  state: DeviceState,
  request: CheckedRequest,
  from: RunPosition,
  stretchBytes: number,
  options: LongCallOptions,
): Promise<RunOutputs> {
  const { device } = state;
  const { batch, steps } = request;
  const start = from.step;
  if (start === 0) state.reset(batch);
  state.zeroCounts(batch);

  const recordedRings = [...request.spikes].filter((name) => !request.trains.has(name));
  const stretch = Math.min(steps, longestStretch(network, request, recordedRings, stretchBytes));
  const delayOf = (name: string): number => state.maxDelays.get(name)!;
  for (const name of state.rings.keys()) {
    const slots = request.trains.has(name)
      ? Math.max(state.rings.get(name)!.slots, delayOf(name) + stretch)
      : Math.max(delayOf(name) + 1, request.spikes.has(name) ? stretch : 1);
    await state.fitRing(name, slots, batch, start);
  }
  for (const [name, ids] of request.membranes) state.fitMembrane(name, ids, stretch, batch);

  const pieces = new Map<string, SpikeTrain[]>(recordedRings.map((name) => [name, []]));
  const traces = new Map(
    [...request.membranes].map(([name, ids]) => [name, new Uint32Array(steps * batch * ids.length)]),
  );

  for (let done = 0; done < steps; done += stretch) {
    const count = Math.min(stretch, steps - done);
    const firstStep = start + done;
    for (const [name, train] of request.trains) {
      const ring = state.rings.get(name)!;
      if (firstStep === 0 && train.steps <= count) ring.writeTrain(train, count);
      else {
        const past = from.history.get(name);
        const earliest = Math.max(0, firstStep - delayOf(name));
        ring.write(batch, earliest, firstStep + count, (step) => {
          if (step >= start) return step - start < train.steps ? [train, step - start] : undefined;
          const at = past === undefined ? -1 : step - start + past.steps;
          return at < 0 ? undefined : [past!, at];
        });
      }
    }
    const plan: Stretch = {
      batch,
      firstStep,
      steps: count,
      currents: feedCurrents(state, request, start, done, count),
      membranes: new Map([...request.membranes].map(([name, ids]) => [name, { chosen: ids.length, frames: stretch }])),
    };
    const running = device.run(state.callsFor(plan), {
      steps: count,
      firstStep,
      signal: options.signal,
      onProgress:
        options.onProgress && ((p) => options.onProgress?.({ done: done + p.done, total: steps, what: 'steps' })),
    });
    // Asked for at once: devices take operations in order, so that nothing waits for a round trip.
    const reading = [
      ...[...pieces].map(
        async ([name, parts]) =>
          void parts.push(await state.rings.get(name)!.read(batch, firstStep, firstStep + count)),
      ),
      ...[...traces].map(async ([name, values]) => {
        const frame = batch * request.membranes.get(name)!.length;
        values.set(new Uint32Array(await state.readMembrane(name, count * frame)), done * frame);
      }),
    ];
    await Promise.all([running, ...reading]);
  }

  const counts: Record<string, Uint32Array> = {};
  const final: Record<string, Float32Array | Int32Array> = {};
  const asPotentials = (bytes: ArrayBuffer): Float32Array | Int32Array =>
    network.numeric === 'fixed' ? new Int32Array(bytes) : new Float32Array(bytes);
  await Promise.all([
    ...(network.populations as readonly Population[])
      .filter((population) => population.model !== 'input' && fires(population))
      .map(async ({ name }) => (counts[name] = new Uint32Array(await state.readCounts(name, batch)))),
    ...request.final.map(
      async (name) => (final[name] = asPotentials(await state.readPotentials(name, batch, start + steps))),
    ),
  ]);
  return {
    spikeCounts: counts,
    spikes: Object.fromEntries(
      [...request.spikes].map((name) => [name, request.trains.get(name) ?? joinTrains(pieces.get(name)!)]),
    ),
    membranes: Object.fromEntries(
      [...traces].map(([name, words]) => [
        name,
        { neurons: request.membranes.get(name)!, values: asPotentials(words.buffer) },
      ]),
    ),
    final,
  };
}

/** Uploads what flows in during a stretch. Constant currents (one frame) are the same call in every run. */
function feedCurrents(
  state: DeviceState,
  request: CheckedRequest,
  start: number,
  done: number,
  count: number,
): Stretch['currents'] {
  const plans = new Map<string, { frames: number; origin: number; receptor: string | undefined }>();
  for (const [name, { frames, values, neurons, receptor }] of request.currents) {
    if (frames === 1) {
      if (done === 0) state.writeCurrent(name, values);
      plans.set(name, { frames, origin: 0, receptor });
      continue;
    }
    const frame = request.batch * neurons;
    const first = Math.min(done, frames - 1);
    const last = Math.min(done + count, frames);
    const part = values.subarray(first * frame, Math.max(last, first + 1) * frame);
    state.writeCurrent(name, part);
    plans.set(name, { frames: part.length / frame, origin: start + done, receptor });
  }
  return plans;
}

function longestStretch(
  network: SpikingNetwork,
  request: CheckedRequest,
  recorded: readonly string[],
  bytes: number,
): number {
  let perStep = 0;
  for (const train of request.trains.values()) perStep += 8 * train.batch + (4 * train.ids.length) / train.steps;
  for (const { frames, batch, neurons } of request.currents.values()) if (frames > 1) perStep += 4 * batch * neurons;
  for (const { name, size, maxSpikesPerStep = 1 } of network.populations as readonly Population[])
    if (recorded.includes(name)) perStep += 4 * request.batch * (size * maxSpikesPerStep + 2);
  for (const ids of request.membranes.values()) perStep += 4 * request.batch * ids.length;
  return perStep === 0 ? Infinity : Math.max(1, Math.floor(bytes / perStep));
}
