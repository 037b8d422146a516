/**
 * From spike trains to the machine's input words. Within a machine step the order of axons does not change any result, only the
 * cycles, so axons of different ports are paired: both leave their word in the same cycle.
 */
import { TuttiError } from '../../errors.js';
import { spikesAt, type SpikeTrain } from '../spike-train.js';
import { routingWords } from './config.js';
import { machineSteps, type Program } from './program.js';
import { inputBegin, inputPair, inputSpike, INPUT, STREAM_LIMITS } from './stream.js';

export interface SampleOptions {
  /** Network steps, at most `STREAM_LIMITS.steps`; a train that is shorter is silent afterwards. */
  readonly steps: number;
  /** Comes back in the sample's `end` word. */
  readonly tag: number;
}

const STEP_END = (INPUT.stepEnd << 30) >>> 0;

/**
 * The words of one sample: `begin`, then every machine step. Axons without a synapse, and those due after the last machine step,
 * are left out. Input populations that are not named are silent.
 * @throws TuttiError INPUT_INVALID for a population that the program does not have or a train of another size; LIMIT_EXCEEDED
 *   for more steps than the words, or the program's proof against overflow, allow
 */
export function inputWords(
  program: Program,
  inputs: ReadonlyMap<string, SpikeTrain>,
  sample: number,
  { steps, tag }: SampleOptions,
): Uint32Array {
  const { ports } = program.machine;
  const total = checkedSteps(program, steps);
  const due: number[][] = Array.from({ length: total * ports }, () => []);
  const wordsPerAxon = routingWords(program.machine);
  for (const [name, train] of inputs) {
    const population = program.populations.find((p) => p.name === name);
    if (population === undefined || population.model !== 'input') {
      const known = program.populations.filter((p) => p.model === 'input').map((p) => `"${p.name}"`);
      throw new TuttiError(
        'INPUT_INVALID',
        `inputs.${name}: the program has no such input; it has ${known.join(', ')}`,
        {
          where: `inputs.${name}`,
        },
      );
    }
    if (train.neurons !== population.size || sample >= train.batch) {
      throw new TuttiError(
        'INPUT_INVALID',
        `inputs.${name} has ${train.batch} samples of ${train.neurons} neurons; sample ${sample} of ${population.size} neurons is needed`,
        { where: `inputs.${name}` },
      );
    }
    for (let step = 0; step < Math.min(steps, train.steps); step++) {
      for (const id of spikesAt(train, step, sample)) {
        const neuron = population.offset + id;
        for (let k = program.inputStart[neuron]!; k < program.inputStart[neuron + 1]!; k++) {
          const axon = program.inputAxon[k]!;
          const at = program.stretch * step + program.inputDelay[k]!;
          if (at < total && reaches(program.routing, axon * wordsPerAxon, wordsPerAxon))
            due[at * ports + (axon % ports)]!.push(axon);
        }
      }
    }
  }
  const words = [inputBegin(steps, tag)];
  for (let step = 0; step < total; step++) putStep(words, due.slice(step * ports, (step + 1) * ports));
  return Uint32Array.from(words);
}

/** Machine steps of a run of `steps` network steps. @throws TuttiError LIMIT_EXCEEDED, INPUT_INVALID */
export function checkedSteps(program: Program, steps: number): number {
  if (!Number.isInteger(steps) || steps < 1)
    throw new TuttiError('INPUT_INVALID', `steps is ${steps}; it must be a whole number of at least 1`, {
      where: 'steps',
    });
  if (steps > program.maxSteps) {
    throw new TuttiError(
      'LIMIT_EXCEEDED',
      `steps is ${steps}; after ${program.maxSteps} steps a potential of program "${program.name}" could overflow`,
      { where: 'steps', facts: { steps, maxSteps: program.maxSteps } },
    );
  }
  const total = machineSteps(program, steps);
  if (steps > STREAM_LIMITS.steps || total > STREAM_LIMITS.machineSteps) {
    throw new TuttiError(
      'LIMIT_EXCEEDED',
      `${steps} steps are ${total} machine steps; one sample may have ${STREAM_LIMITS.machineSteps}: run it in shorter windows`,
      { where: 'steps', facts: { steps, machineSteps: total } },
    );
  }
  return total;
}

function reaches(routing: Uint32Array, at: number, words: number): boolean {
  for (let k = at; k < at + words; k++) if (routing[k] !== 0) return true;
  return false;
}

/** One machine step, always two of the longest queues at a time. */
function putStep(words: number[], queues: readonly number[][]): void {
  let left = queues.reduce((sum, queue) => sum + queue.length, 0);
  if (left === 0) {
    words.push(STEP_END);
    return;
  }
  const next = queues.map(() => 0);
  const remaining = (q: number): number => queues[q]!.length - next[q]!;
  const longest = (): number => {
    let best = 0;
    for (let q = 1; q < queues.length; q++) if (remaining(q) > remaining(best)) best = q;
    return queues[best]![next[best]!++]!;
  };
  while (left > 0) {
    const first = longest();
    left--;
    if (left > 0 && first < STREAM_LIMITS.pairedAxons) {
      const second = longest();
      left--;
      if (second < STREAM_LIMITS.pairedAxons) words.push(inputPair(first, second, left === 0));
      else words.push(inputSpike(first, false), inputSpike(second, left === 0));
    } else words.push(inputSpike(first, left === 0));
  }
}
