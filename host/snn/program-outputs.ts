/** From the machine's words back to populations and network steps: skew and stretch are taken out, places become neurons. */
import type { CheckedRequest } from './engine-request.js';
import type { MembraneTrace, RunOutputs } from './engine-run.js';
import type { ReadRequest } from './machine/load-words.js';
import type { SampleOutput } from './machine/output-words.js';
import { machineSteps, type Program, type ProgramPopulation } from './machine/program.js';
import { invalid, type SpikeTrain } from './spike-train.js';

/** @throws TuttiError INPUT_INVALID when spikes are asked for that the program does not record */
export function collectOutputs(
  program: Program,
  request: CheckedRequest,
  read: ReadRequest,
  samples: readonly SampleOutput[],
): RunOutputs {
  const { steps } = request;
  const populationOf = (name: string): ProgramPopulation => program.populations.find((p) => p.name === name)!;
  const neuronAt = new Uint32Array(program.neurons);
  for (const { model, offset, size } of program.populations) {
    if (model === 'input') continue;
    for (let n = 0; n < size; n++) neuronAt[program.placement[offset + n]!] = n;
  }

  const spikeCounts: Record<string, Uint32Array> = {};
  const spikes: Record<string, SpikeTrain> = {};
  for (const population of program.populations) {
    const { name, model, size, firstNeuron } = population;
    if (model === 'input') {
      if (request.spikes.has(name)) spikes[name] = wholeTrain(request.trains.get(name)!, steps);
      continue;
    }
    if (!records(program, population)) {
      if (request.spikes.has(name))
        throw invalid(
          'record.spikes',
          `names "${name}", whose spikes the program does not put out; compile it with record: ["${name}"]`,
        );
      continue;
    }
    const counts = new Uint32Array(samples.length * size);
    const lists: number[][] = request.spikes.has(name) ? Array.from({ length: steps * samples.length }, () => []) : [];
    samples.forEach(({ spikeSteps, spikeNeurons }, b) => {
      for (let i = 0; i < spikeSteps.length; i++) {
        const place = spikeNeurons[i]!;
        if (place < firstNeuron || place >= firstNeuron + size) continue;
        counts[b * size + neuronAt[place]!]!++;
        if (lists.length > 0) {
          const step = (spikeSteps[i]! - population.skew) / program.stretch;
          lists[step * samples.length + b]!.push(neuronAt[place]!);
        }
      }
    });
    spikeCounts[name] = counts;
    if (request.spikes.has(name)) spikes[name] = trainOf(lists, steps, samples.length, size);
  }

  const membranes: Record<string, MembraneTrace> = {};
  for (const [name, neurons] of request.membranes) {
    const { offset, skew } = populationOf(name);
    const values = new Int32Array(steps * samples.length * neurons.length);
    for (let step = 0; step < steps; step++) {
      const row = (program.stretch * step + skew) * read.count;
      samples.forEach(({ potentials }, b) =>
        neurons.forEach((n, k) => {
          values[(step * samples.length + b) * neurons.length + k] =
            potentials[row + program.placement[offset + n]! - read.first]!;
        }),
      );
    }
    membranes[name] = { neurons, values };
  }

  const final: Record<string, Int32Array> = {};
  const last = read.everyStep ? machineSteps(program, steps) * read.count : 0;
  for (const name of request.final) {
    const { offset, size } = populationOf(name);
    const values = new Int32Array(samples.length * size);
    samples.forEach(({ potentials }, b) => {
      for (let n = 0; n < size; n++)
        values[b * size + n] = potentials[last + program.placement[offset + n]! - read.first]!;
    });
    final[name] = values;
  }
  return { spikeCounts, spikes, membranes, final };
}

/** Whether the machine puts out the spikes of a population, of which all neurons share that flag. */
function records(program: Program, { model, offset }: ProgramPopulation): boolean {
  return model !== 'li' && program.classes[program.neuronClass[program.placement[offset]!]!]!.record;
}

function trainOf(lists: readonly number[][], steps: number, batch: number, neurons: number): SpikeTrain {
  const index = new Uint32Array(2 * lists.length);
  const ids = new Uint32Array(lists.reduce((sum, list) => sum + list.length, 0));
  let at = 0;
  lists.forEach((list, i) => {
    index[2 * i] = at;
    index[2 * i + 1] = list.length;
    // Places of a population are in another order than its neurons.
    ids.set(
      list.sort((a, b) => a - b),
      at,
    );
    at += list.length;
  });
  return { kind: 'spikes', steps, batch, neurons, index, ids };
}

/** An input over all steps of the run: silent after its end. */
function wholeTrain(train: SpikeTrain, steps: number): SpikeTrain {
  if (train.steps >= steps) return train;
  const index = new Uint32Array(2 * steps * train.batch);
  index.set(train.index);
  return { ...train, steps, index };
}
