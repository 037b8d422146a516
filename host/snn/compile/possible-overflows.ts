/** Which sums and queues of a program no proof keeps within their memories. The machine reports it in a sample's status if they ever leave them. */
import { safeSteps } from '../bounds.js';
import type { MachineConfig } from '../machine/config.js';
import type { Program } from '../machine/program.js';
import type { FixedNetwork } from '../network.js';
import { inputRange } from '../validate.js';

export interface PossibleOverflow {
  readonly memory: keyof MachineConfig;
  /** For people, with what there is. */
  readonly what: string;
  /** What would do for certain; undefined where nothing does. */
  readonly need: number | undefined;
}

/** `program` computes `network`. An input may fire once in a step, unless its population says otherwise. */
export function possibleOverflows(program: Program, network: FixedNetwork): PossibleOverflow[] {
  return [...partialSums(program, network), ...potentials(program, network), ...queues(program)];
}

/** Every axon of an SPU due at once, inputs as often as they may spike. */
function partialSums(program: Program, network: FixedNetwork): PossibleOverflow[] {
  const { machine } = program;
  const repeats = new Float64Array(program.axons).fill(1);
  for (const population of network.populations) {
    if (population.model !== 'input') continue;
    const { offset, size } = program.populations.find(({ name }) => name === population.name)!;
    const most = population.maxSpikesPerStep ?? 1;
    for (let k = program.inputStart[offset]!; k < program.inputStart[offset + size]!; k++)
      repeats[program.inputAxon[k]!] = most;
  }
  let worst = 0;
  let where = 0;
  program.spus.forEach((spu, p) => {
    const port = Math.floor(p / (machine.spus / machine.ports));
    const up = new Float64Array(machine.accumulators);
    const down = new Float64Array(machine.accumulators);
    for (let row = 0; row < spu.rowStart.length; row++) {
      const times = repeats[row * machine.ports + port]! * 2 ** spu.rowShift[row]!;
      for (let k = spu.rowStart[row]!; k < spu.rowStart[row]! + spu.rowCount[row]!; k++) {
        const value = spu.weights[spu.weightIndex[k]!]! * times;
        const at = spu.accumulator[k]! + spu.rowBase[row]!;
        if (value > 0) up[at]! += value;
        else down[at]! -= value;
      }
    }
    for (let at = 0; at < up.length; at++) {
      const widest = Math.max(up[at]! + 1, down[at]!);
      if (widest > worst) [worst, where] = [widest, p];
    }
  });
  const need = 1 + Math.ceil(Math.log2(Math.max(1, worst)));
  if (need <= machine.accumulatorBits) return [];
  const what = `partial sums of SPU ${where} could need ${need} of ${machine.accumulatorBits} bits`;
  return [{ memory: 'accumulatorBits', what, need: need <= 30 ? need : undefined }];
}

function potentials({ machine }: Program, network: FixedNetwork): PossibleOverflow[] {
  const found: PossibleOverflow[] = [];
  for (const population of network.populations) {
    if (population.model === 'input') continue;
    const range = inputRange(network.populations, network.projections, population);
    const stepsWith = (bits: number): number => safeSteps(population, range, 0, 2 ** (bits - 1) - 1);
    const steps = stepsWith(machine.potentialBits);
    if (steps === Infinity) continue;
    let bits = machine.potentialBits;
    while (bits < 30 && stepsWith(bits) !== Infinity) bits++;
    const when = steps === 0 ? 'in the first step' : `after ${steps} steps`;
    found.push({
      memory: 'potentialBits',
      what: `potentials of "${population.name}" could leave ${machine.potentialBits} bits ${when}`,
      need: stepsWith(bits) === Infinity ? bits : undefined,
    });
  }
  return found;
}

/** All neurons firing in each step. */
function queues(program: Program): PossibleOverflow[] {
  const { machine, axonDelay } = program;
  const due = new Map<number, number>();
  for (let n = 0; n < program.neurons; n++) {
    for (let axon = program.firstAxon[n]!; axon < program.firstAxon[n]! + program.axonCount[n]!; axon++) {
      // Those of one delay arrive together; of different delays, in the same step as well, fired in different ones.
      if (axonDelay[axon]! > 0) due.set(axon % machine.ports, (due.get(axon % machine.ports) ?? 0) + 1);
    }
  }
  const need = Math.max(0, ...due.values());
  if (need <= machine.queue) return [];
  const what = `axons due at a port in one step could be ${need} of ${machine.queue}`;
  return [{ memory: 'queue', what, need }];
}
