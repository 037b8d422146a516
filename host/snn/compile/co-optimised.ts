/**
 * The strategy that weighs the two things that bound a machine step against each other. Spreading a source's synapses over all SPUs
 * evens out the operations, but its spike then takes an issue slot at every port; confining it to one port takes one slot, but only
 * that port's SPUs share its work. Each candidate gives sources a number of ports by the length of their rows, which ports are chosen by
 * simulated annealing, and every synapse goes to the SPU that is least loaded when its source is active. The estimator sorts the
 * candidates, the simple strategies among them, and the cycle model (with calibration inputs) picks among the best.
 */
import { TuttiError } from '../../errors.js';
import { deal } from './deal.js';
import { estimate, lowerBound } from './estimate.js';
import { overflows } from './fit.js';
import { annealPorts, widthsFor } from './issue-ports.js';
import { layOut, type Partition } from './layout.js';
import { outOfAccumulators, SIMPLE_STRATEGIES, type PartitionStrategy } from './partition.js';
import { sourceWork } from './source-work.js';

/**
 * Candidates: operations per row up to which a source uses no further ports, of inputs and of neurons. Infinity confines all to one port, 0
 * spreads them. Inputs gain more from few ports: their axons have to be sent one by one.
 */
const ROWS: readonly (readonly [input: number, neuron: number])[] = [
  [Infinity, Infinity],
  [Infinity, 4],
  [Infinity, 2],
  [8, 8],
  [4, 4],
  [2, 2],
  [1, 1],
  [0, 0],
];
/** Once a candidate takes at most this much of the lower bound no further ones are made. */
const NEAR_BOUND = 1.01;
/** Candidates that are measured. */
const MEASURED = 4;

export const coOptimised: PartitionStrategy = (request) => {
  const { lowered, machine, activity } = request;
  const work = sourceWork(lowered, activity);
  const candidates: { partition: Partition; cycles: number }[] = [];
  const offer = (make: () => Partition): void => {
    try {
      const partition = make();
      candidates.push({ partition, cycles: estimate(lowered, machine, partition, activity).cycles });
    } catch (error) {
      // Too few accumulators for it; another candidate may need fewer.
      if (!(error instanceof TuttiError && error.code === 'LIMIT_EXCEEDED')) throw error;
    }
  };
  const enough = NEAR_BOUND * lowerBound(lowered, machine, activity).cycles;
  const scarce = machine.accumulators < lowered.neurons;
  const seen = new Set<string>();
  for (const [input, neuron] of ROWS) {
    const widths = widthsFor(request, work, neuron);
    widths.set(widthsFor(request, work, input).subarray(0, lowered.inputs));
    const key = widths.join('');
    if (seen.has(key)) continue;
    seen.add(key);
    if (candidates.some(({ cycles }) => cycles <= enough)) break;
    const masks = annealPorts(request, work, widths);
    offer(() => deal(request, work, masks, 'early'));
    if (scarce) offer(() => deal(request, work, masks, 'even'));
  }
  for (const simple of Object.values(SIMPLE_STRATEGIES)) offer(() => simple(request));
  if (candidates.length === 0) throw outOfAccumulators(machine, Math.ceil(lowered.neurons / machine.lanes));

  candidates.sort((a, b) => a.cycles - b.cycles);
  const measured = candidates
    .slice(0, MEASURED)
    .map(({ partition }) => ({ partition, cycles: request.cyclesOf(partition) ?? Infinity }))
    .sort((a, b) => a.cycles - b.cycles);
  const inOrder = [...measured, ...candidates.slice(MEASURED)];
  const fits = inOrder.find(({ partition }) => overflows(layOut(lowered, machine, partition)).length === 0);
  return (fits ?? inOrder[0]!).partition;
};
