/** From the machine's words back to populations and network steps: skew and stretch are taken out, places become neurons. */
import { TuttiError } from '../errors.js';
import type { CheckedRequest } from './engine-request.js';
import type { MembraneTrace, RunOutputs } from './engine-run.js';
import type { ReadRequest } from './machine/load-words.js';
import type { SampleOutput } from './machine/output-words.js';
import { machineSteps, type Program, type ProgramPopulation } from './machine/program.js';
import { invalid, type SpikeTrain } from './spike-train.js';

export interface ResultCollector {
  /** Takes each sample once, in any order. @throws TuttiError DEVICE_FAILED for spikes that the program cannot have */
  add(sample: number, output: SampleOutput): void;
  finish(): RunOutputs;
}

/** @throws TuttiError INPUT_INVALID when spikes are asked for that the program does not record */
export function createResultCollector(program: Program, request: CheckedRequest, read: ReadRequest): ResultCollector {
  const { steps, batch } = request;
  const { placement, stretch } = program;
  const spiking = program.populations.filter((population) => recordsSpikes(program, population));
  for (const name of request.spikes) {
    if (request.trains.has(name) || spiking.some((population) => population.name === name)) continue;
    throw invalid(
      'record.spikes',
      `names "${name}", whose spikes the program does not put out; compile it with record: ["${name}"]`,
    );
  }
  /** [neurons]: which of `parts` a place belongs to, and which neuron of it it is. */
  const partAt = new Uint32Array(program.neurons).fill(spiking.length);
  const neuronAt = new Uint32Array(program.neurons);
  const parts = spiking.map(({ name, size, offset, skew }, part) => {
    for (let n = 0; n < size; n++) {
      partAt[placement[offset + n]!] = part;
      neuronAt[placement[offset + n]!] = n;
    }
    return {
      name,
      size,
      skew,
      counts: new Uint32Array(batch * size),
      list: request.spikes.has(name) ? createSpikeList(steps, batch, size) : undefined,
    };
  });

  const populationOf = (name: string): ProgramPopulation => program.populations.find((p) => p.name === name)!;
  const membranes = [...request.membranes].map(([name, neurons]) => {
    const { offset, skew } = populationOf(name);
    const places = Uint32Array.from(neurons, (n) => placement[offset + n]! - read.first);
    return { name, neurons, skew, places, values: new Int32Array(steps * batch * neurons.length) };
  });
  const last = read.everyStep ? machineSteps(program, steps) * read.count : 0;
  const final = request.final.map((name) => {
    const { offset, size } = populationOf(name);
    const places = Uint32Array.from({ length: size }, (_, n) => last + placement[offset + n]! - read.first);
    return { name, places, values: new Int32Array(batch * size) };
  });

  return {
    add(sample, { spikeSteps, spikeNeurons, potentials }) {
      for (let i = 0; i < spikeSteps.length; i++) {
        const place = spikeNeurons[i]!;
        const part = parts[partAt[place] ?? spiking.length];
        const step = (spikeSteps[i]! - (part?.skew ?? 0)) / stretch;
        if (part === undefined || !Number.isInteger(step) || step < 0 || step >= steps) {
          throw new TuttiError(
            'DEVICE_FAILED',
            `sample ${sample} has a spike of neuron id ${place} in machine step ${spikeSteps[i]}, which program "${program.name}" cannot put out`,
          );
        }
        const neuron = neuronAt[place]!;
        part.counts[sample * part.size + neuron]!++;
        part.list?.add(step * batch + sample, neuron);
      }
      for (const { skew, places, values } of membranes) {
        for (let step = 0; step < steps; step++) {
          const row = (stretch * step + skew) * read.count;
          const to = (step * batch + sample) * places.length;
          for (let k = 0; k < places.length; k++) values[to + k] = potentials[row + places[k]!]!;
        }
      }
      for (const { places, values } of final) {
        const to = sample * places.length;
        for (let n = 0; n < places.length; n++) values[to + n] = potentials[places[n]!]!;
      }
    },
    finish: () => ({
      spikeCounts: Object.fromEntries(parts.map(({ name, counts }) => [name, counts])),
      spikes: Object.fromEntries(
        [...request.spikes].map((name) => [
          name,
          request.trains.get(name) ?? parts.find((part) => part.name === name)!.list!.train(),
        ]),
      ),
      membranes: Object.fromEntries(
        membranes.map(({ name, neurons, values }): [string, MembraneTrace] => [name, { neurons, values }]),
      ),
      final: Object.fromEntries(final.map(({ name, values }) => [name, values])),
    }),
  };
}

/** Whether the machine puts out the spikes of a population, of which all neurons share that flag. */
export function recordsSpikes(program: Program, { model, offset }: ProgramPopulation): boolean {
  if (model === 'input' || model === 'li') return false;
  return program.classes[program.neuronClass[program.placement[offset]!]!]!.record;
}

/** Spikes of one population, to be sorted into a train. */
function createSpikeList(steps: number, batch: number, neurons: number) {
  const index = new Uint32Array(2 * steps * batch);
  let held = new Uint32Array(1024);
  let length = 0;
  return {
    /** `slot`: step * batch + sample. */
    add(slot: number, neuron: number): void {
      if (length === held.length) {
        const larger = new Uint32Array(2 * length);
        larger.set(held);
        held = larger;
      }
      held[length++] = slot;
      held[length++] = neuron;
      index[2 * slot + 1]!++;
    },
    train(): SpikeTrain {
      const ids = new Uint32Array(length / 2);
      let total = 0;
      for (let at = 0; at < index.length; at += 2) {
        index[at] = total;
        total += index[at + 1]!;
      }
      const next = Uint32Array.from({ length: steps * batch }, (_, slot) => index[2 * slot]!);
      for (let i = 0; i < length; i += 2) ids[next[held[i]!]!++] = held[i + 1]!;
      // Places of a population are in another order than its neurons.
      for (let at = 0; at < index.length; at += 2)
        if (index[at + 1]! > 1) ids.subarray(index[at], index[at]! + index[at + 1]!).sort();
      return { kind: 'spikes', steps, batch, neurons, index, ids };
    },
  };
}
