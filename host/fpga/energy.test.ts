import { describe, expect, it } from 'vitest';
import { DEFAULT_MACHINE } from '../snn/machine/config.js';
import {
  ENERGY_28NM,
  energyOf,
  energyOfEvents,
  machineEvents,
  PUBLISHED,
  sensitivity,
  type MachineRun,
} from './energy.js';

const nothing = {
  ...{ cycles: 0, frequency: 100e6, flipFlops: 0, blockRamAccesses: 0, lutMemoryAccesses: 0, addedBits: 0, words: 0 },
};
const run: MachineRun = {
  ...{ machine: DEFAULT_MACHINE, megahertz: 100, cycles: 1000, operations: 4000, axons: 100, neuronUpdates: 560 },
  ...{ rows: 700, spikes: 20, words: 90, flipFlops: 10_000 },
};

describe('energyOfEvents', () => {
  it('adds up what each event takes', () => {
    const events = {
      cycles: 200,
      frequency: 50e6,
      flipFlops: 30,
      blockRamAccesses: 7,
      lutMemoryAccesses: 11,
      addedBits: 13,
      words: 17,
    };
    const constants = { staticPower: 0.5, clock: 1e-9, blockRam: 2e-9, lutMemory: 3e-9, addBit: 5e-9, word: 7e-9 };
    const { parts, millijoules, seconds } = energyOfEvents(events, constants);
    expect(seconds).toBeCloseTo(4e-6, 12);
    expect(parts.static).toBeCloseTo(2e-6, 12);
    expect(parts.clock).toBeCloseTo(6e-6, 12);
    expect(parts['block RAM']).toBeCloseTo(14e-9, 15);
    expect(parts['LUT memory']).toBeCloseTo(33e-9, 15);
    expect(parts.additions).toBeCloseTo(65e-9, 15);
    expect(parts.words).toBeCloseTo(119e-9, 15);
    expect(millijoules).toBeCloseTo(1e3 * (8e-6 + 231e-9), 9);
  });

  it('is nothing for nothing', () => {
    expect(energyOfEvents(nothing).millijoules).toBe(0);
  });
});

describe('machineEvents', () => {
  it('counts the memories that an operation touches', () => {
    const more = machineEvents({ ...run, operations: run.operations + 1 });
    const base = machineEvents(run);
    // The operation memory is two block RAMs wide; the accumulators are read and written.
    expect(more.blockRamAccesses - base.blockRamAccesses).toBe(2 + 2);
    // 256 weights of 8 bits: twelve memories of four LUTs.
    expect(more.lutMemoryAccesses - base.lutMemoryAccesses).toBe(12);
    expect(more.addedBits - base.addedBits).toBe(DEFAULT_MACHINE.accumulatorBits);
  });

  it('counts a swept group at every SPU and lane', () => {
    const { spus, lanes } = DEFAULT_MACHINE;
    const more = machineEvents({ ...run, neuronUpdates: run.neuronUpdates + lanes });
    const base = machineEvents(run);
    // Accumulators read and cleared in pairs of lanes; in each lane the neuron's word; its state is in LUTs.
    expect(more.blockRamAccesses - base.blockRamAccesses).toBe(2 * spus * (lanes / 2) + lanes);
    expect(more.addedBits - base.addedBits).toBe(lanes * ((spus - 1) * (18 + 4) + 4 * 24));
  });

  it('takes what is not told at its most', () => {
    const { rows, spikes, words, ...told } = run;
    expect([rows, spikes, words].every((count) => count !== undefined)).toBe(true);
    expect(energyOf(told).millijoules).toBeGreaterThan(energyOf(run).millijoules);
  });
});

describe('the model beside published figures', () => {
  it('is within a third of those designs whose events are known', () => {
    for (const { name, events, constants, published } of PUBLISHED.slice(0, 2)) {
      const ratio = energyOfEvents(events, constants).millijoules / (1e3 * published);
      expect(ratio, name).toBeGreaterThan(0.75);
      expect(ratio, name).toBeLessThan(1.34);
    }
  });

  it('moves with each constant by its share of the total', () => {
    const { events } = PUBLISHED[0]!;
    const moved = Object.values(sensitivity(events, 0.5));
    expect(moved.reduce((sum, each) => sum + each, 0)).toBeCloseTo(0.5, 9);
    const { parts, millijoules } = energyOfEvents(events);
    expect(sensitivity(events, 0.5).blockRam).toBeCloseTo((0.5 * parts['block RAM']) / (millijoules / 1e3), 9);
    expect(Object.keys(sensitivity(events))).toEqual(Object.keys(ENERGY_28NM));
  });
});
