/** One run of a program on one device: as many samples at a time as there is room for, and as take about as long as a call should. */
import { throwIfAborted, TuttiError } from '../errors.js';
import type { LongCallOptions } from '../device/device.js';
import type { CheckedRequest } from './engine-request.js';
import type { RunOutputs } from './engine-run.js';
import { checkedSteps, createSampleEncoder } from './machine/input-words.js';
import type { ReadRequest } from './machine/load-words.js';
import { explainStatus, outputBound, readOutput } from './machine/output-words.js';
import type { Program } from './machine/program.js';
import { createResultCollector } from './program-outputs.js';
import type { ProgramState } from './program-state.js';

/** What a run costs on the machine. */
export interface MachineFigures {
  /** [batch]; 0 on devices that have no cycles. */
  readonly cycles: Uint32Array;
  /** [batch]: synaptic operations. */
  readonly operations: Uint32Array;
  /** [batch]: spikes that neurons fired. */
  readonly internalSpikes: Uint32Array;
}

/** Tags tell samples apart; they are 16 bits wide. */
const MOST_SAMPLES = 2 ** 16;

/**
 * `bufferBytes`: how much is held on the device for the samples of one call.
 * @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED (steps; a sum that left its width, a queue that was full), ABORTED, MEMORY_REFUSED, and what
 *   devices throw
 */
export async function runOnProgramState(
  state: ProgramState,
  request: CheckedRequest,
  bufferBytes: number,
  call: LongCallOptions,
): Promise<RunOutputs & { readonly machine: MachineFigures }> {
  const { program } = state;
  const { batch, steps } = request;
  const total = checkedSteps(program, steps);
  const read = rangeOf(program, request);
  const recorded = program.neuronClass.reduce((sum, c) => sum + Number(program.classes[c]!.record), 0);
  const bound = outputBound(recorded, total, read);
  const encode = createSampleEncoder(program, request.trains, steps);
  const collector = createResultCollector(program, request, read);
  const machine = {
    cycles: new Uint32Array(batch),
    operations: new Uint32Array(batch),
    internalSpikes: new Uint32Array(batch),
  };

  const silent = outputBound(0, total, read);
  let most = MOST_SAMPLES;
  for (let first = 0; first < batch;) {
    throwIfAborted(call.signal, `running program "${program.name}"`);
    const outputWords = Math.min(bound, silent + state.spikeWords);
    const room = Math.max(1, Math.floor(bufferBytes / state.sampleBytes(outputWords)));
    const words = joinWords(encode, first, Math.min(batch - first, room, most, state.pace));
    const samples = words.inputStart.length - 1;
    let outputs: Uint32Array | undefined;
    try {
      outputs = await state.execute({ samples, steps, outputWords, read, ...words }, call);
    } catch (error) {
      if (!(error instanceof TuttiError) || error.code !== 'MEMORY_REFUSED' || samples === 1) throw error;
      most = samples >> 1;
      continue;
    }
    if (outputs === undefined) {
      state.spikeWords *= 4;
      continue;
    }
    for (let b = 0; b < samples; b++) {
      const output = readOutput(outputs.subarray(b * outputWords, (b + 1) * outputWords), 0, total, read);
      checkStatus(program, first + b, output.status);
      collector.add(first + b, output);
      machine.cycles[first + b] = output.cycles;
      machine.operations[first + b] = output.operations;
      machine.internalSpikes[first + b] = output.internalSpikes;
    }
    first += samples;
    call.onProgress?.({ done: first, total: batch, what: 'samples' });
  }
  return { ...collector.finish(), machine };
}

function joinWords(
  encode: (sample: number, tag: number) => Uint32Array,
  first: number,
  samples: number,
): { readonly inputs: Uint32Array; readonly inputStart: Uint32Array } {
  const inputStart = new Uint32Array(samples + 1);
  let inputs = new Uint32Array(0);
  for (let b = 0; b < samples; b++) {
    const words = encode(first + b, b);
    const at = inputStart[b]!;
    const end = at + words.length;
    if (end > inputs.length) {
      const larger = new Uint32Array(Math.max(2 * end, words.length * samples));
      larger.set(inputs.subarray(0, at));
      inputs = larger;
    }
    inputs.set(words, at);
    inputStart[b + 1] = end;
  }
  return { inputs: inputs.subarray(0, inputStart[samples]), inputStart };
}

/** The neuron ids whose potentials are wanted, as one range. */
function rangeOf(program: Program, { membranes, final }: CheckedRequest): ReadRequest {
  let [first, end] = [Infinity, 0];
  for (const name of [...membranes.keys(), ...final]) {
    const { firstNeuron, size } = program.populations.find((p) => p.name === name)!;
    first = Math.min(first, firstNeuron);
    end = Math.max(end, firstNeuron + size);
  }
  return end === 0
    ? { first: 0, count: 0, everyStep: false }
    : { first, count: end - first, everyStep: membranes.size > 0 };
}

/** @throws TuttiError LIMIT_EXCEEDED naming what did not hold */
function checkStatus({ name, machine }: Program, sample: number, status: number): void {
  if (status === 0) return;
  const { accumulatorBits, potentialBits, queue } = machine;
  throw new TuttiError(
    'LIMIT_EXCEEDED',
    `program "${name}", sample ${sample}: ${explainStatus(status).join('; ')}; compile it for a machine with more accumulatorBits, potentialBits or queue (this one has ${accumulatorBits}, ${potentialBits}, ${queue})`,
    { where: `sample ${sample}`, facts: { status, accumulatorBits, potentialBits, queue } },
  );
}
