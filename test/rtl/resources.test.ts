/** The resource model against Yosys: the committed runs of many machines, and one run of the RTL as it is. */
import { describe, expect, it } from 'vitest';
import { addressBits, memoryCost } from '../../host/fpga/memory-map.js';
import { estimateResources, fitsPart, resourceFeatures, XC7Z020 } from '../../host/fpga/resources.js';
import { DEFAULT_MACHINE } from '../../host/snn/machine/config.js';
import { FITTED, readRuns } from '../../rtl/synth/runs.js';
import { countResources, synthesise } from '../../rtl/synth/xc7.js';

describe('memories', () => {
  it('are block RAMs where LUTs would be dearer', () => {
    expect(memoryCost({ width: 36, depth: 512, kind: 'free' })).toMatchObject({ blockRams: 0.5, luts: 0 });
    expect(memoryCost({ width: 37, depth: 512, kind: 'free' })).toMatchObject({ blockRams: 1, luts: 0 });
    expect(memoryCost({ width: 17, depth: 4096, kind: 'free' })).toMatchObject({ blockRams: 2, luts: 0 });
    expect(memoryCost({ width: 4, depth: 512, kind: 'free' })).toMatchObject({ blockRams: 0, luts: 64 });
    expect(memoryCost({ width: 8, depth: 256, kind: 'lut' })).toEqual({ blockRams: 0, luts: 48, flipFlops: 8 });
    expect(memoryCost({ width: 14, depth: 16, kind: 'asynchronous' })).toEqual({
      blockRams: 0,
      luts: 12,
      flipFlops: 0,
    });
    expect([1, 2, 3, 512, 513].map(addressBits)).toEqual([1, 1, 2, 9, 10]);
  });
});

describe('counting cells', () => {
  it('knows what each takes', () => {
    const cells = {
      LUT1: 1,
      LUT6: 2,
      INV: 3,
      RAM32M: 1,
      RAM64M: 2,
      SRL16E: 1,
      FDRE: 5,
      FDSE: 1,
      RAMB18E1: 3,
      RAMB36E1: 1,
      CARRY4: 9,
    };
    expect(countResources(cells)).toEqual({ luts: 19, lutMemory: 13, flipFlops: 6, blockRams: 2.5, dsps: 0 });
    expect(() => countResources({ URAM288: 1 })).toThrow(/1 cells URAM288/);
  });
});

describe('the resource model', () => {
  const { runs } = readRuns();

  it('was fitted to all machines of the list', () => {
    expect(runs.map(({ machine }) => machine)).toEqual(FITTED);
    expect(FITTED.length).toBeGreaterThan(Object.keys(resourceFeatures(DEFAULT_MACHINE)).length);
  });

  it('counts block RAMs as Yosys does, exactly, and memory in LUTs to a few', () => {
    for (const { machine, blockRams, lutMemory, dsps } of runs) {
      const model = estimateResources(machine);
      expect(model.blockRams).toBe(blockRams);
      expect(Math.abs(model.lutMemory - lutMemory)).toBeLessThanOrEqual(8);
      expect(model.dsps).toBe(dsps);
    }
  });

  it('is near Yosys in LUTs and flip-flops', () => {
    for (const { machine, luts, flipFlops } of runs) {
      const model = estimateResources(machine);
      expect(Math.abs(model.luts / luts - 1), JSON.stringify(machine)).toBeLessThan(0.1);
      expect(Math.abs(model.flipFlops / flipFlops - 1), JSON.stringify(machine)).toBeLessThan(0.1);
    }
  });

  it('says what of a machine does not fit', () => {
    expect(fitsPart(estimateResources(DEFAULT_MACHINE))).toEqual({ fits: true, over: [] });
    const large = estimateResources({ ...DEFAULT_MACHINE, spus: 64, ports: 8, operations: 16_384 });
    const { fits, over } = fitsPart(large);
    expect(fits).toBe(false);
    expect(over).toContain(`block RAMs ${Math.ceil(large.blockRams)} of ${XC7Z020.blockRams}`);
  });

  it('still tells what the RTL takes', { timeout: 300_000 }, async () => {
    const machine = {
      ...DEFAULT_MACHINE,
      ...{ spus: 1, ports: 1, lanes: 1, operations: 512, accumulators: 64, neurons: 64, axons: 128, queue: 64 },
      ...{ classes: 2, delaySlots: 4, potentialBits: 16, accumulatorBits: 12 },
    };
    const found = await synthesise(machine);
    const model = estimateResources(machine);
    expect(found.blockRams).toBe(model.blockRams);
    expect(found.dsps).toBe(0);
    expect(Math.abs(model.luts / found.luts - 1)).toBeLessThan(0.15);
    expect(Math.abs(model.flipFlops / found.flipFlops - 1)).toBeLessThan(0.15);
  });
});
