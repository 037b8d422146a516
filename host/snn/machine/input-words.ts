/**
 * From spike trains to the machine's input words. Within a machine step the order of axons does not change any result, only the
 * cycles, so axons of different ports are paired: both leave their word in the same cycle.
 */
import { TuttiError } from '../../errors.js';
import type { SpikeTrain } from '../spike-train.js';
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
  return createSampleEncoder(program, inputs, steps)(sample, tag).slice();
}

/** Puts one sample after another into words; what it returns is a view that the next sample is written over. */
export type SampleEncoder = (sample: number, tag: number) => Uint32Array;

/** As `inputWords`, for many samples of the same trains. @throws what `inputWords` throws; that a sample is not there, when it is asked for */
export function createSampleEncoder(
  program: Program,
  inputs: ReadonlyMap<string, SpikeTrain>,
  steps: number,
): SampleEncoder {
  const { ports } = program.machine;
  const { stretch, inputStart, inputAxon, inputDelay } = program;
  const total = checkedSteps(program, steps);
  const sources = [...inputs].map(([name, train]) => {
    const population = program.populations.find((p) => p.name === name);
    if (population === undefined || population.model !== 'input') {
      const known = program.populations.filter((p) => p.model === 'input').map((p) => `"${p.name}"`);
      throw new TuttiError(
        'INPUT_INVALID',
        `inputs.${name}: the program has no such input; it has ${known.join(', ')}`,
        { where: `inputs.${name}` },
      );
    }
    return { name, train, population };
  });
  const reaching = axonsThatReach(program);
  /** [total][ports]: number of axons, then where the next one goes. */
  const next = new Uint32Array(total * ports + 1);
  const ends = new Uint32Array(total * ports);
  let axons = new Uint32Array(1024);
  let words = new Uint32Array(1024);

  return (sample, tag) => {
    for (const { name, train, population } of sources) {
      if (train.neurons === population.size && sample < train.batch) continue;
      throw new TuttiError(
        'INPUT_INVALID',
        `inputs.${name} has ${train.batch} samples of ${train.neurons} neurons; sample ${sample} of ${population.size} neurons is needed`,
        { where: `inputs.${name}` },
      );
    }
    // Counted, then put in place.
    next.fill(0);
    let sum = 0;
    for (let pass = 0; pass < 2; pass++) {
      for (const { train, population } of sources) {
        const { index, ids, batch } = train;
        for (let step = 0; step < Math.min(steps, train.steps); step++) {
          const at = 2 * (step * batch + sample);
          const first = index[at]!;
          const end = first + index[at + 1]!;
          for (let i = first; i < end; i++) {
            const neuron = population.offset + ids[i]!;
            const until = inputStart[neuron + 1]!;
            for (let k = inputStart[neuron]!; k < until; k++) {
              const axon = inputAxon[k]!;
              const due = stretch * step + inputDelay[k]!;
              if (due >= total || reaching[axon] === 0) continue;
              const list = due * ports + (axon % ports);
              if (pass === 0) next[list]!++;
              else axons[next[list]!++] = axon;
            }
          }
        }
      }
      if (pass === 1) break;
      for (let list = 0; list < ends.length; list++) {
        const count = next[list]!;
        next[list] = sum;
        sum += count;
        ends[list] = sum;
      }
      if (axons.length < sum) axons = new Uint32Array(2 * sum);
      if (words.length < 1 + total + sum) words = new Uint32Array(2 * (1 + total + sum));
    }
    let from = 0;
    words[0] = inputBegin(steps, tag);
    let at = 1;
    for (let step = 0; step < total; step++) {
      const lists = step * ports;
      // From here on `next` is where each list goes on.
      for (let q = 0; q < ports; q++) {
        next[lists + q] = from;
        from = ends[lists + q]!;
      }
      at = putStep(words, at, axons, next, ends, lists, ports);
    }
    return words.subarray(0, at);
  };
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

/** [axons]: 1 where it is routed to any SPU. */
function axonsThatReach({ routing, axons, machine }: Program): Uint8Array {
  const words = routingWords(machine);
  return Uint8Array.from({ length: axons }, (_, axon) => {
    for (let k = axon * words; k < (axon + 1) * words; k++) if (routing[k] !== 0) return 1;
    return 0;
  });
}

/** One machine step, always two of the longest lists at a time. Returns where the next step's words go. */
function putStep(
  words: Uint32Array,
  at: number,
  axons: Uint32Array,
  next: Uint32Array,
  ends: Uint32Array,
  lists: number,
  ports: number,
): number {
  let left = 0;
  for (let q = lists; q < lists + ports; q++) left += ends[q]! - next[q]!;
  if (left === 0) {
    words[at] = STEP_END;
    return at + 1;
  }
  const longest = (): number => {
    let best = lists;
    for (let q = lists + 1; q < lists + ports; q++) if (ends[q]! - next[q]! > ends[best]! - next[best]!) best = q;
    return axons[next[best]!++]!;
  };
  while (left > 0) {
    const first = longest();
    left--;
    if (left > 0 && first < STREAM_LIMITS.pairedAxons) {
      const second = longest();
      left--;
      if (second < STREAM_LIMITS.pairedAxons) words[at++] = inputPair(first, second, left === 0);
      else {
        words[at++] = inputSpike(first, false);
        words[at++] = inputSpike(second, left === 0);
      }
    } else words[at++] = inputSpike(first, left === 0);
  }
  return at;
}
