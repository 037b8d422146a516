import { describe, expect, it } from 'vitest';
import { checkMachine, DEFAULT_MACHINE, MACHINE_LIMITS, type MachineConfig } from '../../host/snn/machine/config.js';
import { seededRandom } from '../../host/random.js';
import { designFiles, machineParameters, runTool, TOP } from '../../rtl/sim/sources.js';

async function lint(machine: MachineConfig): Promise<void> {
  const parameters = machineParameters(checkMachine(machine)).map(([name, value]) => `-G${name}=${value}`);
  await runTool('verilator', ['--lint-only', '-Wall', '-Irtl', '--top-module', TOP, ...parameters, ...designFiles()]);
}

/** Sizes around powers of two, where widths of addresses change. */
function randomMachine(seed: number): MachineConfig {
  const random = seededRandom(seed);
  const pick = (most: number): number => Math.floor(random.uniform() * (most + 1));
  const around = (from: number, to: number): number =>
    Math.max(from, 2 ** ((Math.log2(to) * random.uniform()) | 0) + pick(2) - 1);
  const ports = 2 ** pick(3);
  const spus = ports * 2 ** pick(2);
  const lanes = 2 ** pick(4);
  const weightBits = random.uniform() < 0.5 ? 4 : 8;
  return {
    ...{ ports, spus, lanes, weightBits },
    weights: Math.max(2, Math.min(2 ** weightBits, around(2, 256))),
    operations: around(1, 8192),
    accumulators: lanes * around(1, 256),
    axons: ports * around(1, 512),
    neurons: lanes * around(1, 512),
    classes: Math.min(64, around(1, 64)),
    fifo: around(2, 64),
    delaySlots: 2 ** (1 + pick(5)),
    queue: around(1, 256),
    accumulatorBits: 8 + pick(22),
    potentialBits: 8 + pick(22),
  };
}

describe('Verilator has nothing to say, with all its warnings on, about', () => {
  it('the default machine', () => lint(DEFAULT_MACHINE));

  it('the smallest machine of all', () => {
    const least = Object.fromEntries(Object.entries(MACHINE_LIMITS).map(([field, limit]) => [field, limit.least]));
    return lint(least as unknown as MachineConfig);
  });

  it('machines of every size', async () => {
    const complaints: unknown[] = [];
    for (let seed = 1; seed <= 24; seed++) {
      const machine = randomMachine(seed);
      await lint(machine).catch((cause: unknown) => complaints.push({ machine, cause }));
    }
    expect(complaints).toEqual([]);
  });
});
