/**
 * Proves a program from its tables alone: walks every axon of every source through routing, rows, operations, weights and emission
 * bits back to post-synaptic neurons, and compares what it finds with the network, which it reads for itself. Shares nothing with
 * the layout but the meaning of the tables.
 */
import { TuttiError } from '../../errors.js';
import { toRows } from '../connectivity.js';
import { createCycleModel } from '../machine/cycle-model.js';
import { checkMachine, routingWords, spusPerPort } from '../machine/config.js';
import { inputWords } from '../machine/input-words.js';
import { explainStatus, readOutput } from '../machine/output-words.js';
import { machineSteps, portOf, type NeuronClass, type Program } from '../machine/program.js';
import { valueAt, type FixedNetwork, type FixedPopulation } from '../network.js';
import type { SpikeTrain } from '../spike-train.js';
import { simulate } from './activity.js';
import { overflows } from './fit.js';
import { lower } from './lower.js';
import { possibleOverflows } from './possible-overflows.js';

export interface ValidationReport {
  /** Synapses that were found, each once, with its weight and delay. */
  readonly synapses: number;
  /** Sums and queues that no proof keeps within their memories; the machine reports it if they ever leave them. */
  readonly mayOverflow: readonly string[];
  /** Samples that were run, and equal to the network's. */
  readonly samples: number;
}

export interface ValidationOptions {
  /** Runs the program on the cycle model and compares spikes and potentials with a plain run of the network. */
  readonly inputs?: Readonly<Record<string, SpikeTrain>>;
  /** Samples of `inputs`. Default: all. */
  readonly samples?: number;
}

/** Problems that are listed before the rest is only counted. */
const LISTED = 8;

/** @throws TuttiError FILE_INVALID that lists what is wrong; all of it is in `facts.problems`. */
export function validateProgram(
  program: Program,
  network: FixedNetwork,
  options: ValidationOptions = {},
): ValidationReport {
  const problems: string[] = [];
  checkMachine(program.machine, `program "${program.name}": machine`);
  for (const { what, need, have } of overflows(program)) problems.push(`${what}: ${need} of ${have}`);
  checkShapes(program, problems);
  const done = (): void => {
    if (problems.length === 0) return;
    const more = problems.length > LISTED ? `; and ${problems.length - LISTED} more` : '';
    throw new TuttiError(
      'FILE_INVALID',
      `program "${program.name}" does not compute network "${network.name}": ${problems.slice(0, LISTED).join('; ')}${more}; compile the network again`,
      { where: program.name, facts: { problems } },
    );
  };
  done();
  checkPopulations(program, network, problems);
  done();
  checkNeurons(program, network, problems);
  checkSpuTables(program, problems);
  done();
  const synapses = checkSynapses(program, network, problems);
  done();
  let samples = 0;
  if (options.inputs !== undefined) {
    samples = Math.min(options.samples ?? Infinity, ...Object.values(options.inputs).map((train) => train.batch));
    for (let sample = 0; sample < samples; sample++) checkSample(program, network, options.inputs, sample, problems);
    done();
  }
  return { synapses, mayOverflow: possibleOverflows(program, network).map(({ what }) => what), samples };
}

function checkShapes(program: Program, problems: string[]): void {
  const { machine, neurons, axons } = program;
  const expect = (what: string, got: number, wanted: number): void => {
    if (got !== wanted) problems.push(`${what} has ${got} entries, it needs ${wanted}`);
  };
  if (neurons % machine.lanes !== 0) problems.push(`${neurons} neurons are no multiple of ${machine.lanes} lanes`);
  if (axons % machine.ports !== 0) problems.push(`${axons} axons are no multiple of ${machine.ports} ports`);
  for (const field of ['neuronClass', 'bias', 'firstAxon', 'axonCount'] as const)
    expect(field, program[field].length, neurons);
  expect('axonDelay', program.axonDelay.length, axons);
  expect('routing', program.routing.length, axons * routingWords(machine));
  expect('spus', program.spus.length, machine.spus);
  expect('inputDelay', program.inputDelay.length, program.inputAxon.length);
  const rows = axons / machine.ports;
  program.spus.forEach((spu, p) => {
    for (const field of ['rowStart', 'rowCount', 'rowBase', 'rowShift'] as const)
      expect(`${field} of SPU ${p}`, spu[field].length, rows);
    expect(`weightIndex of SPU ${p}`, spu.weightIndex.length, spu.accumulator.length);
    expect(`emission of SPU ${p}`, spu.emission.length, Math.ceil(neurons / machine.lanes / 32));
  });
}

function checkPopulations(program: Program, network: FixedNetwork, problems: string[]): void {
  const used = new Uint8Array(program.neurons);
  let inputs = 0;
  let placed = 0;
  if (program.populations.length !== network.populations.length)
    problems.push(`it has ${program.populations.length} populations, the network ${network.populations.length}`);
  for (const { name, model, size } of network.populations) {
    const found = program.populations.find((p) => p.name === name);
    if (found === undefined || found.model !== model || found.size !== size) {
      problems.push(`population "${name}" is not in it as ${size} neurons of model ${model}`);
      continue;
    }
    if (model === 'input') {
      inputs += size;
      if (found.skew !== 0) problems.push(`input "${name}" has skew ${found.skew}`);
      if (found.offset + size > program.inputStart.length - 1)
        problems.push(`input "${name}" is beyond the input index`);
      continue;
    }
    placed += size;
    if (found.skew > program.maxSkew) problems.push(`skew ${found.skew} of "${name}" is above ${program.maxSkew}`);
    for (let n = 0; n < size; n++) {
      const place = program.placement[found.offset + n];
      if (place === undefined || place < found.firstNeuron || place >= found.firstNeuron + size)
        problems.push(`neuron ${n} of "${name}" is placed at ${place}, outside of its population`);
      else if (used[place] !== 0) problems.push(`two neurons are placed at ${place}`);
      else used[place] = 1;
    }
  }
  if (program.inputStart.length - 1 !== inputs)
    problems.push(`the input index is for ${program.inputStart.length - 1} of ${inputs} inputs`);
  if (program.placement.length !== placed)
    problems.push(`the placement is for ${program.placement.length} of ${placed} neurons`);
  const { inputStart, inputAxon } = program;
  if (
    inputStart[0] !== 0 ||
    inputStart.at(-1) !== inputAxon.length ||
    inputStart.some((at, i) => i > 0 && at < inputStart[i - 1]!)
  )
    problems.push('the input index does not span the input axons in order');
  if (inputAxon.some((axon) => axon >= program.axons)) problems.push('an input axon is beyond the axons');
}

function checkNeurons(program: Program, network: FixedNetwork, problems: string[]): void {
  const silent = new Uint8Array(program.neurons).fill(1);
  for (const population of network.populations) {
    if (population.model === 'input') continue;
    const { offset, skew } = program.populations.find((p) => p.name === population.name)!;
    for (let n = 0; n < population.size; n++) {
      const place = program.placement[offset + n]!;
      silent[place] = 0;
      const found = program.classes[program.neuronClass[place]!];
      const wrong = found === undefined ? ['class'] : wrongParameters(found, population, n, skew);
      if (program.bias[place] !== valueAt(population.bias, n)) wrong.push('bias');
      if (wrong.length > 0) problems.push(`neuron ${n} of "${population.name}" has the wrong ${wrong.join(', ')}`);
    }
  }
  for (let place = 0; place < program.neurons; place++) {
    const count = program.axonCount[place]!;
    if (count > 0 && program.firstAxon[place]! + count > program.axons)
      problems.push(`neuron id ${place} has axons up to ${program.firstAxon[place]! + count} of ${program.axons}`);
    if (!silent[place]) continue;
    const found = program.classes[program.neuronClass[place]!];
    if (found === undefined || found.spiking || count > 0 || program.bias[place] !== 0)
      problems.push(`neuron id ${place}, which stands for no neuron, is not at rest`);
  }
}

function wrongParameters(found: NeuronClass, population: FixedPopulation, n: number, skew: number): string[] {
  const { threshold, reset } = population;
  const wrong: string[] = [];
  const same = (field: keyof NeuronClass, wanted: number | boolean): void => {
    if (found[field] !== wanted) wrong.push(field);
  };
  same('leakShift', valueAt(population.leakShift ?? 0, n));
  same('initial', valueAt(population.initial, n));
  same('skew', skew);
  same('spiking', threshold !== undefined);
  if (threshold !== undefined) {
    same('threshold', valueAt(threshold, n));
    same('subtract', reset?.kind === 'subtract');
    if (reset?.kind === 'value') same('resetValue', valueAt(reset.value, n));
    same('refractorySteps', valueAt(population.refractorySteps ?? 0, n));
  }
  return wrong;
}

/** Rows within their memories, and routing bits where there are rows. */
function checkSpuTables(program: Program, problems: string[]): void {
  const { machine } = program;
  const words = routingWords(machine);
  const perPort = spusPerPort(machine);
  program.spus.forEach((spu, p) => {
    const port = Math.floor(p / perPort);
    const local = p % perPort;
    const sums = machine.lanes * groupsHeld(spu.emission).length;
    for (let row = 0; row < spu.rowStart.length; row++) {
      const axon = row * machine.ports + port;
      const count = spu.rowCount[row]!;
      const routed = (program.routing[axon * words + (local >> 5)]! >>> (local & 31)) & 1;
      if (count > 0 !== (routed === 1))
        problems.push(
          `axon ${axon} ${routed ? 'is' : 'is not'} routed to SPU ${p}, which has ${count} operations for it`,
        );
      if (spu.rowStart[row]! + count > spu.accumulator.length) {
        problems.push(`the row of axon ${axon} in SPU ${p} ends beyond its operations`);
        continue;
      }
      for (let k = spu.rowStart[row]!; k < spu.rowStart[row]! + count; k++) {
        if (spu.accumulator[k]! + spu.rowBase[row]! >= sums)
          problems.push(`operation ${k} of SPU ${p}, run for axon ${axon}, adds to a partial sum that is never merged`);
        if (spu.weightIndex[k]! >= spu.weights.length)
          problems.push(`operation ${k} of SPU ${p} takes a weight that is not there`);
      }
    }
  });
  for (let at = 0; at < program.routing.length; at++) {
    const bits = Math.min(32, perPort - 32 * (at % words));
    if (bits < 32 && program.routing[at]! >>> bits !== 0)
      problems.push(`axon ${Math.floor(at / words)} is routed to SPUs that its port does not have`);
  }
}

/** The groups that an SPU holds, in the order of its accumulators. */
function groupsHeld(emission: Uint32Array): number[] {
  const held: number[] = [];
  for (let w = 0; w < emission.length; w++)
    for (let bit = 0; bit < 32; bit++) if ((emission[w]! >>> bit) & 1) held.push(32 * w + bit);
  return held;
}

/** What an axon adds, seen from outside: neuron id and value of each of its operations. */
function axonReader(program: Program): (axon: number, each: (neuron: number, value: number) => void) => void {
  const { machine } = program;
  const perPort = spusPerPort(machine);
  const held = program.spus.map(({ emission }) => groupsHeld(emission));
  return (axon, each) => {
    const row = Math.floor(axon / machine.ports);
    for (let local = 0; local < perPort; local++) {
      const p = portOf(program, axon) * perPort + local;
      const spu = program.spus[p]!;
      const end = spu.rowStart[row]! + spu.rowCount[row]!;
      for (let k = spu.rowStart[row]!; k < end; k++) {
        const address = spu.accumulator[k]! + spu.rowBase[row]!;
        const group = held[p]![Math.floor(address / machine.lanes)]!;
        each(
          group * machine.lanes + (address % machine.lanes),
          spu.weights[spu.weightIndex[k]!]! * 2 ** spu.rowShift[row]!,
        );
      }
    }
  };
}

/** Every synapse of the network exactly once, with its value and delay, and none besides. Returns how many there are. */
function checkSynapses(program: Program, network: FixedNetwork, problems: string[]): number {
  const read = axonReader(program);
  const populations = new Map(program.populations.map((p) => [p.name, p]));
  let total = 0;
  for (const from of network.populations) {
    const source = populations.get(from.name)!;
    const outgoing = network.projections
      .filter((projection) => projection.from === from.name)
      .map((projection) => {
        const to = populations.get(projection.to)!;
        return { projection, to, rows: toRows(projection, from.size, to.size) };
      });
    for (let pre = 0; pre < from.size; pre++) {
      // Synapses as sortable numbers would not be exact; as text they are, one source at a time.
      const wanted: string[] = [];
      for (const { projection, to, rows } of outgoing) {
        const delay = typeof projection.delay === 'number' ? projection.delay : projection.delay[pre]!;
        const lag = program.stretch * delay + to.skew - (from.model === 'input' ? 0 : source.skew);
        if (lag < (from.model === 'input' ? 0 : 1))
          problems.push(`projection "${projection.name}" would arrive ${lag} machine steps after it was fired`);
        for (let k = rows.rowStart[pre]!; k < rows.rowStart[pre + 1]!; k++) {
          const place = program.placement[to.offset + rows.columns[k]!]!;
          wanted.push(`${lag},${place},${rows.weights[k]! * 2 ** projection.shift}`);
        }
      }
      const found: string[] = [];
      if (from.model === 'input') {
        const at = source.offset + pre;
        for (let k = program.inputStart[at]!; k < program.inputStart[at + 1]!; k++)
          read(program.inputAxon[k]!, (neuron, value) => found.push(`${program.inputDelay[k]},${neuron},${value}`));
      } else {
        const place = program.placement[source.offset + pre]!;
        const first = program.firstAxon[place]!;
        for (let axon = first; axon < first + program.axonCount[place]!; axon++) {
          if (program.axonDelay[axon]! < 1) problems.push(`axon ${axon} of a neuron has no delay`);
          read(axon, (neuron, value) => found.push(`${program.axonDelay[axon]},${neuron},${value}`));
        }
      }
      total += wanted.length;
      compare(wanted, found, `neuron ${pre} of "${from.name}"`, problems);
      if (problems.length > 1000) return total;
    }
  }
  if (total !== program.synapses)
    problems.push(`it says that it has ${program.synapses} synapses, the network has ${total}`);
  return total;
}

function compare(wanted: string[], found: string[], who: string, problems: string[]): void {
  wanted.sort();
  found.sort();
  const explain = (synapse: string): string => {
    const [delay, neuron, value] = synapse.split(',');
    return `to neuron id ${neuron} with ${value} after ${delay} machine steps`;
  };
  for (let i = 0, j = 0; i < wanted.length || j < found.length;) {
    if (wanted[i] === found[j]) {
      i++;
      j++;
    } else if (j >= found.length || (i < wanted.length && wanted[i]! < found[j]!)) {
      problems.push(`the synapse of ${who} ${explain(wanted[i++]!)} is missing`);
    } else problems.push(`${who} has a synapse ${explain(found[j++]!)} that the network does not have`);
  }
}

function checkSample(
  program: Program,
  network: FixedNetwork,
  inputs: Readonly<Record<string, SpikeTrain>>,
  sample: number,
  problems: string[],
): void {
  const steps = Math.max(...Object.values(inputs).map((train) => train.steps));
  const recorded = new Set(
    program.populations.filter((p) => recordsAll(program, p.offset, p.size, p.model)).map((p) => p.name),
  );
  const lowered = lower(network, recorded);
  const expected = simulate(lowered, inputs, sample, steps);
  const range = { first: 0, count: program.placement.length, everyStep: false };
  const words = createCycleModel(program, range).run(
    inputWords(program, new Map(Object.entries(inputs)), sample, { steps, tag: 0 }),
  );
  const output = readOutput(words, 0, machineSteps(program, steps), range);
  for (const what of explainStatus(output.status)) problems.push(`sample ${sample}: ${what}`);
  // The lowered network numbers its neurons as `placement` does: populations in order, inputs left out.
  for (let n = 0; n < lowered.neurons; n++) {
    const got = output.potentials[program.placement[n]!];
    if (got !== expected.potentials[n])
      problems.push(
        `sample ${sample}: the potential of neuron ${n} is ${got}, the network's is ${expected.potentials[n]}`,
      );
  }
  const key = (step: number, place: number): number => step * 2 ** 16 + place;
  const classOf = (n: number): NeuronClass => program.classes[program.neuronClass[program.placement[n]!]!]!;
  // The program may be retimed in another way: the same network steps, in other machine steps.
  const retimed = (machineStep: number, n: number): number => {
    const step = (machineStep - lowered.classes[lowered.neuronClass[n]!]!.skew) / lowered.stretch;
    return program.stretch * step + classOf(n).skew;
  };
  const wanted = expected.spikes
    .filter(([, n]) => classOf(n).record)
    .map(([step, n]) => key(retimed(step, n), program.placement[n]!))
    .sort((a, b) => a - b);
  const found = Array.from(output.spikeSteps, (step, i) => key(step, output.spikeNeurons[i]!));
  if (wanted.length !== found.length || wanted.some((k, i) => k !== found[i]))
    problems.push(`sample ${sample}: its ${found.length} recorded spikes are not the network's ${wanted.length}`);
}

function recordsAll(program: Program, offset: number, size: number, model: string): boolean {
  if (model === 'input') return false;
  for (let n = 0; n < size; n++)
    if (!program.classes[program.neuronClass[program.placement[offset + n]!]!]!.record) return false;
  return true;
}
