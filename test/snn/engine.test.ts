/** The engine against the independent simulator of reference.ts, on random networks, on every device. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  createEngine,
  defineNetwork,
  spikesAt,
  type RunRequest,
  type SpikingNetwork,
  type Strategy,
} from '../../host/snn/index.js';
import { fixedNetwork, floatNetwork, referenceSpikes, seeds, stimulus, trainsOf } from './arbitraries.js';
import { simulate } from './reference.js';

const steps = 12;

const sizesOf = (network: SpikingNetwork): Map<string, number> =>
  new Map(network.populations.map((p) => [p.name, p.size]));
const firing = (network: SpikingNetwork): string[] =>
  network.populations.filter((p) => p.model !== 'input' && p.threshold !== undefined).map((p) => p.name);
const withMembrane = (network: SpikingNetwork): string[] =>
  network.populations.filter((p) => p.model !== 'input').map((p) => p.name);
const everything = (network: SpikingNetwork): NonNullable<RunRequest['record']> => ({
  spikes: firing(network),
  membrane: withMembrane(network).map((population) => ({ population })),
  final: withMembrane(network),
});

interface Subject {
  readonly name: string;
  readonly runs: number;
  readonly make: () => Promise<Device>;
}

const subjects: Subject[] = [
  { name: 'oracle', runs: 40, make: async () => createOracleDevice() },
  { name: 'wasm, 1 thread', runs: 40, make: () => createWasmDevice({ threads: 1 }) },
  { name: 'wasm, 2 threads', runs: 25, make: () => createWasmDevice({ threads: 2 }) },
  { name: 'webgpu', runs: 8, make: () => createWebGpuDevice() },
];

describe.each(subjects)('on $name', ({ runs, make }) => {
  let device: Device;
  beforeAll(async () => {
    device = await make();
  });
  afterAll(() => device.close());

  it('fixed-point networks fire exactly as in the reference, whatever the strategy, batch and stretch', async () => {
    await fc.assert(
      fc.asyncProperty(
        seeds,
        fc.constantFrom(1, 3, 5),
        fc.constantFrom<('auto' | Strategy)[]>('auto', 'scatter', 'gather', 'dense'),
        fc.constantFrom(1, 5000, 2 ** 24),
        async (seed, batch, strategy, stretchBytes) => {
          const network = defineNetwork(fixedNetwork(seed));
          const sizes = sizesOf(network);
          const given = stimulus(seed, fixedNetwork(seed), { steps, batch });
          const before = device.memory.inUse;
          const engine = await createEngine(network, { device }, { batch: batch + 1, strategy, stretchBytes });
          const result = await engine.run({ inputs: trainsOf(given, sizes), steps, record: everything(network) });
          for (let b = 0; b < batch; b++) {
            const expected = simulate(network, { spikes: referenceSpikes(given, sizes, b) }, steps);
            for (const name of firing(network)) {
              const fired = Array.from({ length: steps }, (_, step) => [...spikesAt(result.spikes[name]!, step, b)]);
              expect(fired).toEqual(expected.fired.map((step) => step[name]));
              const counts = new Array<number>(sizes.get(name)!).fill(0);
              fired.flat().forEach((id) => counts[id]!++);
              const size = sizes.get(name)!;
              expect([...result.spikeCounts[name]!.subarray(b * size, (b + 1) * size)]).toEqual(counts);
            }
            for (const name of withMembrane(network)) {
              const size = sizes.get(name)!;
              const trace = result.membranes[name]!.values;
              for (let step = 0; step < steps; step++) {
                const start = (step * batch + b) * size;
                expect([...trace.subarray(start, start + size)]).toEqual(expected.potentials[step]![name]);
              }
              expect([...result.final[name]!.subarray(b * size, (b + 1) * size)]).toEqual(
                expected.potentials.at(-1)![name],
              );
            }
          }
          await engine.close();
          expect(device.memory.inUse).toBe(before);
        },
      ),
      { numRuns: runs },
    );
  });

  it('float networks follow the reference', async () => {
    await fc.assert(
      fc.asyncProperty(
        seeds,
        fc.constantFrom<('auto' | Strategy)[]>('auto', 'scatter', 'gather', 'dense'),
        async (seed, strategy) => {
          const network = defineNetwork(floatNetwork(seed));
          const sizes = sizesOf(network);
          const given = stimulus(seed, floatNetwork(seed), { steps, batch: 2 });
          const engine = await createEngine(network, { device }, { batch: 2, strategy });
          const result = await engine.run({ inputs: trainsOf(given, sizes), steps, record: everything(network) });
          await engine.close();
          for (let b = 0; b < 2; b++) {
            const expected = simulate(network, { spikes: referenceSpikes(given, sizes, b) }, steps);
            // A potential within rounding of its threshold may fall on either side; what follows then differs, rightly.
            for (let step = 0; step < steps; step++) {
              for (const name of network.order.filter((n) => withMembrane(network).includes(n))) {
                const size = sizes.get(name)!;
                const start = (step * 2 + b) * size;
                const got = result.membranes[name]!.values.subarray(start, start + size);
                const wanted = expected.potentials[step]![name]!;
                const fired = firing(network).includes(name) ? [...spikesAt(result.spikes[name]!, step, b)] : [];
                if (JSON.stringify(fired) !== JSON.stringify(expected.fired[step]![name] ?? [])) {
                  expect(closeCall(network, name, got, wanted)).toBe(true);
                  return;
                }
                wanted.forEach((value, n) =>
                  expect(Math.abs(got[n]! - value)).toBeLessThan(2e-4 * Math.max(1, Math.abs(value))),
                );
              }
            }
          }
        },
      ),
      { numRuns: runs },
    );
  });

  it('a run in parts is the run as a whole', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 1, max: steps - 1 }), fc.boolean(), async (seed, cut, recordFirst) => {
        const network = defineNetwork(fixedNetwork(seed));
        const sizes = sizesOf(network);
        const given = stimulus(seed, fixedNetwork(seed), { steps, batch: 2 });
        const engine = await createEngine(network, { device }, { batch: 2 });
        const record = everything(network);
        const whole = await engine.run({ inputs: trainsOf(given, sizes), record });
        const first = await engine.run({
          inputs: trainsOf(given, sizes, [0, 2], [0, cut]),
          ...(recordFirst ? { record } : {}),
        });
        const rest = await engine.run({ inputs: trainsOf(given, sizes, [0, 2], [cut, steps]), record, continue: true });
        await engine.close();
        expect(rest.firstStep).toBe(cut);
        expect(first.synapticEvents + rest.synapticEvents).toBe(whole.synapticEvents);
        for (const name of withMembrane(network)) expect(rest.final[name]).toEqual(whole.final[name]);
        for (const name of firing(network)) {
          for (let step = cut; step < steps; step++) {
            for (let b = 0; b < 2; b++) {
              expect([...spikesAt(rest.spikes[name]!, step - cut, b)]).toEqual([
                ...spikesAt(whole.spikes[name]!, step, b),
              ]);
            }
          }
        }
      }),
      { numRuns: runs },
    );
  });
});

function closeCall(network: SpikingNetwork, name: string, got: ArrayLike<number>, wanted: readonly number[]): boolean {
  const population = network.populations.find((p) => p.name === name)!;
  if (population.model === 'input' || population.threshold === undefined) return false;
  const { threshold, reset } = population;
  return wanted.every((value, n) => {
    const limit = typeof threshold === 'number' ? threshold : threshold[n]!;
    const resetTo =
      reset!.kind === 'subtract' ? undefined : typeof reset!.value === 'number' ? reset!.value : reset!.value[n]!;
    const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-3;
    const after = (v: number): boolean => near(v, limit) || near(v, resetTo ?? 0);
    return near(got[n]!, value) || (after(got[n]!) && after(value));
  });
}
