/** A program's rows laid out for a model that follows axons: where an axon goes, for how long, and what it adds to which neurons. */
import { routingWords, spusPerPort } from './config.js';
import type { Program } from './program.js';

export interface SynapseTables {
  /** [axons + 1] into the next three: the SPUs that an axon is routed to. */
  readonly targetStart: Uint32Array;
  readonly targetSpu: Uint8Array;
  /** Operations; and cycles, of which an empty row takes one too. */
  readonly targetOperations: Uint16Array;
  readonly targetCycles: Uint16Array;
  /** [axons]: operations at all its SPUs. */
  readonly axonOperations: Uint32Array;
  /** [axons + 1] into the next two: all operations of an axon, SPU by SPU as in `targetSpu`. */
  readonly synapseStart: Uint32Array;
  /** Neuron, or the program's number of neurons where the accumulator belongs to none. */
  readonly synapseNeuron: Int32Array;
  /** weight << shift. */
  readonly synapseWeight: Int32Array;
  /** Place of the partial sum: SPU * accumulators + address. */
  readonly synapseAccumulator: Uint32Array;
  /** [spus * accumulators]: neuron whose partial sum it holds, or the program's number of neurons. */
  readonly accumulatorNeuron: Int32Array;
  /** Largest magnitude of any partial sum, and of any merged sum, when every axon comes at most once. */
  readonly partialBound: number;
  readonly sumBound: number;
}

export function synapseTables(program: Program): SynapseTables {
  const { machine, axons, neurons } = program;
  const { ports, lanes, accumulators } = machine;
  const perPort = spusPerPort(machine);
  const words = routingWords(machine);

  const accumulatorNeuron = new Int32Array(machine.spus * accumulators).fill(neurons);
  program.spus.forEach((spu, p) => {
    let k = 0;
    for (let g = 0; g < neurons / lanes; g++) {
      if (((spu.emission[g >> 5]! >>> (g & 31)) & 1) === 0) continue;
      for (let lane = 0; lane < lanes && k * lanes + lane < accumulators; lane++)
        accumulatorNeuron[p * accumulators + k * lanes + lane] = g * lanes + lane;
      k++;
    }
  });

  const targetStart = new Uint32Array(axons + 1);
  const synapseStart = new Uint32Array(axons + 1);
  const axonOperations = new Uint32Array(axons);
  const routedTo = (axon: number, visit: (spu: number, row: number) => void): void => {
    const port = axon % ports;
    for (let k = 0; k < perPort; k++)
      if ((program.routing[axon * words + (k >> 5)]! >>> (k & 31)) & 1)
        visit(port * perPort + k, Math.floor(axon / ports));
  };
  for (let axon = 0; axon < axons; axon++) {
    let targets = 0;
    routedTo(axon, (p, row) => {
      targets++;
      axonOperations[axon]! += program.spus[p]!.rowCount[row]!;
    });
    targetStart[axon + 1] = targetStart[axon]! + targets;
    synapseStart[axon + 1] = synapseStart[axon]! + axonOperations[axon]!;
  }

  const targetSpu = new Uint8Array(targetStart[axons]!);
  const targetOperations = new Uint16Array(targetSpu.length);
  const targetCycles = new Uint16Array(targetSpu.length);
  const total = synapseStart[axons]!;
  const synapseNeuron = new Int32Array(total);
  const synapseWeight = new Int32Array(total);
  const synapseAccumulator = new Uint32Array(total);
  const partial = new Float64Array(machine.spus * accumulators);
  const sum = new Float64Array(neurons);
  let target = 0;
  let synapse = 0;
  for (let axon = 0; axon < axons; axon++) {
    routedTo(axon, (p, row) => {
      const spu = program.spus[p]!;
      const count = spu.rowCount[row]!;
      targetSpu[target] = p;
      targetOperations[target] = count;
      targetCycles[target++] = Math.max(1, count);
      for (let k = spu.rowStart[row]!; k < spu.rowStart[row]! + count; k++) {
        const at = p * accumulators + ((spu.accumulator[k]! + spu.rowBase[row]!) % accumulators);
        const weight = spu.weights[spu.weightIndex[k]!]! << spu.rowShift[row]!;
        const neuron = accumulatorNeuron[at]!;
        synapseNeuron[synapse] = neuron;
        synapseWeight[synapse] = weight;
        synapseAccumulator[synapse++] = at;
        partial[at]! += Math.abs(weight);
        if (neuron < neurons) sum[neuron]! += Math.abs(weight);
      }
    });
  }
  return {
    targetStart,
    targetSpu,
    targetOperations,
    targetCycles,
    axonOperations,
    synapseStart,
    synapseNeuron,
    synapseWeight,
    synapseAccumulator,
    accumulatorNeuron,
    partialBound: partial.reduce((most, value) => Math.max(most, value), 0),
    sumBound: sum.reduce((most, value) => Math.max(most, value), 0),
  };
}
