/** Whether tables fit a machine and, where they do not, by how much and what would make them fit. */
import { TuttiError } from '../../errors.js';
import { MACHINE_LIMITS, type MachineConfig } from '../machine/config.js';
import type { Tables } from './layout.js';

export interface Overflow {
  readonly memory: keyof MachineConfig;
  /** What a person calls it: "operations of SPU 3". */
  readonly what: string;
  readonly need: number;
  readonly have: number;
}

/** What of `tables` exceeds their machine; empty when all fits. */
export function overflows(tables: Tables): Overflow[] {
  const { machine } = tables;
  const found: Overflow[] = [];
  const check = (memory: keyof MachineConfig, what: string, need: number, have = machine[memory]): void => {
    if (need > have) found.push({ memory, what, need, have });
  };
  const fullest = (count: (spu: Tables['spus'][number]) => number): readonly [spu: number, count: number] =>
    tables.spus.reduce((best, spu, p): readonly [number, number] => (count(spu) > best[1] ? [p, count(spu)] : best), [
      0, -1,
    ] as readonly [number, number]);
  const [busiest, operations] = fullest((spu) => spu.accumulator.length);
  check('operations', `operations of SPU ${busiest}`, operations);
  const [varied, weights] = fullest((spu) => spu.weights.length);
  check('weights', `distinct weights of SPU ${varied}`, weights);
  const [widest, accumulators] = fullest((spu) => machine.lanes * bits(spu.emission));
  check('accumulators', `partial sums of SPU ${widest}`, accumulators);
  check('axons', 'axons', tables.axons);
  check('neurons', 'neurons', tables.neurons);
  check('classes', 'sets of neuron parameters', tables.classes.length);
  check('delaySlots', 'steps that a spike is kept for', 1 + tables.axonDelay.reduce((a, b) => Math.max(a, b), 0));
  const widestWeight = tables.spus.reduce(
    (most, spu) => spu.weights.reduce((m, w) => Math.max(m, w < 0 ? ~w : w), most),
    0,
  );
  check('weightBits', 'bits of the largest weight', widestWeight > 7 ? 8 : 4);
  const least = tables.bias.reduce((a, b) => Math.min(a, b), 0);
  const most = tables.bias.reduce((a, b) => Math.max(a, b), 0);
  const biasBits = 1 + Math.max(bitLength(most), bitLength(~least));
  check('potentialBits', 'bits of the largest bias', biasBits, Math.min(26, machine.potentialBits));
  for (const c of tables.classes) {
    const widest = Math.max(...[c.threshold, c.resetValue, c.initial].map((v) => 1 + bitLength(v < 0 ? ~v : v)));
    check('potentialBits', 'bits of a threshold, reset value or initial potential', widest);
  }
  const longest = tables.axonCount.reduce((a, b) => Math.max(a, b), 0);
  if (longest > 4095) found.push({ memory: 'axons', what: 'axons of one neuron', need: longest, have: 4095 });
  return found;
}

/** @throws TuttiError LIMIT_EXCEEDED that names every memory that is too small, by how much, and a machine that would do. */
export function checkFit(tables: Tables, name: string): void {
  const found = overflows(tables);
  if (found.length === 0) return;
  const { machine } = tables;
  const remedy = found
    .map(({ memory, need }) => {
      const { most, power } = MACHINE_LIMITS[memory];
      const multiple =
        memory === 'axons' ? machine.ports : memory === 'neurons' || memory === 'accumulators' ? machine.lanes : 1;
      const enough = power ? 2 ** Math.ceil(Math.log2(need)) : Math.ceil(need / multiple) * multiple;
      return enough <= most ? `${memory}=${enough}` : undefined;
    })
    .filter((change, i, all) => change !== undefined && all.indexOf(change) === i);
  const others = found.some(({ memory }) => memory === 'operations')
    ? ` (or more SPUs than ${machine.spus}, among which the operations are divided)`
    : '';
  throw new TuttiError(
    'LIMIT_EXCEEDED',
    `network "${name}" does not fit the machine: ${found
      .map(({ what, need, have }) => `${what}: ${need}, ${need - have} more than the ${have} there are`)
      .join('; ')}. ` +
      (remedy.length === found.length
        ? `It fits a machine with ${remedy.join(', ')}${others}`
        : 'No machine is that large: prune the network or run it on a spiking engine (createEngine)'),
    { where: 'machine', facts: { overflows: found } },
  );
}

function bits(words: Uint32Array): number {
  let count = 0;
  for (const word of words) for (let w = word; w !== 0; w = (w & (w - 1)) >>> 0) count++;
  return count;
}

function bitLength(value: number): number {
  return value <= 0 ? 0 : Math.floor(Math.log2(value)) + 1;
}
