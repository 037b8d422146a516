/**
 * Runs programs of the synapse machine on any device: as the kernel `runProgram` on Wasm, WebGPU and the oracle, on the RTL where the
 * device is of kind 'fpga'. Requests and results are those of the spiking engine, and the results are the same to the bit.
 */
import { DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import type { Device, DeviceBuffer, LongCallOptions } from '../device/device.js';
import { OUTPUT_CUT, programTables, runProgram } from '../kernels/machine/index.js';
import { checkRequest, type CheckedRequest, type RunRequest } from './engine-request.js';
import type { EngineHome, RunResult } from './engine.js';
import { checkedSteps, inputWords } from './machine/input-words.js';
import type { ReadRequest } from './machine/load-words.js';
import { explainStatus, outputBound, readOutput, type SampleOutput } from './machine/output-words.js';
import { encodeProgram } from './machine/program-file.js';
import type { Program } from './machine/program.js';
import type { SpikingNetwork } from './network.js';
import { collectOutputs } from './program-outputs.js';

/** What a run costs on the machine. */
export interface MachineFigures {
  /** [batch]; 0 on devices that have no cycles. */
  readonly cycles: Uint32Array;
  /** [batch]: synaptic operations. */
  readonly operations: Uint32Array;
}

export interface ProgramRunResult extends RunResult {
  readonly machine: MachineFigures;
}

export interface ProgramEngineOptions extends LongCallOptions {
  /** Largest number of samples in one run. Default 1. */
  readonly batch?: number;
  /** With a pool: how many devices may be lost during one run before it fails. Default 5. */
  readonly maxReplays?: number;
}

export interface ProgramEngine {
  /** The program that it ran last, or will run first. */
  readonly program: Program | undefined;
  /** The device that it is on at the moment; undefined before a pool has lent one. */
  readonly device: Device | undefined;
  readonly batch: number;
  /**
   * As `SpikingEngine.run`; every run starts afresh, populations cannot be driven by currents, and spikes are there of those populations
   * that the program records.
   * @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED (steps; a sum that left its width, a queue that was full), ABORTED, MEMORY_REFUSED,
   *   DEVICE_CLOSED, KERNEL_UNSUPPORTED (a program for another machine); DeviceLostError without a pool
   */
  run(request: RunRequest, options?: LongCallOptions): Promise<ProgramRunResult>;
  /** Waits for runs in progress. Idempotent. The device stays open. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A program, or what makes the one for a device that is about to run it. */
export type ProgramSource = Program | ((device: Device) => Program | Promise<Program>);

/** Words of outputs and scratch of the samples that are on a device at a time. */
const CHUNK_WORDS = 2 ** 22;
/** Tags tell samples apart; they are 16 bits wide. */
const MOST_SAMPLES = 2 ** 15;

/** @throws TuttiError OPTION_INVALID */
export async function createProgramEngine(
  source: ProgramSource,
  home: EngineHome,
  options: ProgramEngineOptions = {},
): Promise<ProgramEngine> {
  const { batch = 1, maxReplays = 5 } = options;
  for (const [where, value] of Object.entries({ batch, maxReplays })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TuttiError('OPTION_INVALID', `${where} must be a whole number of at least 1, got ${String(value)}`, {
        where,
      });
  }
  if (home.device === undefined && typeof home.pool?.lease !== 'function')
    throw new TuttiError('OPTION_INVALID', 'createProgramEngine needs { device } or { pool } as its second argument', {
      where: 'home',
    });
  let loaded: Loaded | undefined;
  let device = home.device;
  let closed = false;
  let queue: Promise<unknown> = Promise.resolve();

  const loadFor = async (on: Device): Promise<Loaded> => {
    if (typeof source !== 'function') return (loaded ??= prepare(source));
    // One that was made for a machine serves every device that has the same.
    const key = JSON.stringify(on.capabilities.machine ?? on.kind);
    if (loaded?.key !== key) loaded = { ...prepare(await source(on)), key };
    return loaded;
  };

  const runOn = async (on: Device, request: RunRequest, call: LongCallOptions): Promise<ProgramRunResult> => {
    const began = performance.now();
    const { program, words, tables, stateWords, shell, recorded, fanOut } = await loadFor(on);
    if (request.continue === true) throw invalid('continue', 'a machine starts every sample afresh; run it as a whole');
    const checked = checkRequest(shell, batch, request);
    const driven = [...checked.currents.keys()][0];
    if (driven !== undefined)
      throw invalid(`inputs.${driven}`, 'a machine takes spikes, not currents; use createEngine');
    const total = checkedSteps(program, checked.steps);
    const read = rangeOf(program, checked);
    const outputWords = outputBound(recorded, total, read);
    const chunk = Math.max(1, Math.min(MOST_SAMPLES, Math.floor(CHUNK_WORDS / (outputWords + stateWords))));
    const samples: SampleOutput[] = [];
    const held: DeviceBuffer[] = [];
    const upload = (data: Uint32Array, label: string): DeviceBuffer => {
      const buffer = on.allocate(data.byteLength, label);
      held.push(buffer);
      on.write(buffer, data);
      return buffer;
    };
    try {
      const [programBuffer, tableBuffer] = [upload(words, 'program'), upload(tables, 'program tables')];
      for (let first = 0; first < checked.batch; first += chunk) {
        throwIfAborted(call.signal, `running program "${program.name}"`);
        const count = Math.min(chunk, checked.batch - first);
        const inputs = Array.from({ length: count }, (_, b) =>
          inputWords(program, checked.trains, first + b, { steps: checked.steps, tag: b }),
        );
        const starts = new Uint32Array(count + 1);
        inputs.forEach(({ length }, b) => (starts[b + 1] = starts[b]! + length));
        const joined = new Uint32Array(starts[count]!);
        inputs.forEach((part, b) => joined.set(part, starts[b]));
        const keep = held.length;
        const made = {
          program: programBuffer,
          tables: tableBuffer,
          inputs: upload(joined, 'input words'),
          inputStart: upload(starts, 'input index'),
          outputs: on.allocate(4 * count * outputWords, 'output words'),
          state: on.allocate(4 * count * stateWords, 'machine state'),
        };
        held.push(made.outputs, made.state);
        const { first: readFirst, count: readCount, everyStep } = read;
        const scalars = { batch: count, steps: checked.steps, outputWords, readFirst, readCount, stateWords };
        await on.run([runProgram({ ...made, ...scalars, everyStep: Number(everyStep) })], { signal: call.signal });
        const outputs = new Uint32Array(await on.read(made.outputs));
        for (let b = 0; b < count; b++)
          samples.push(checkedSample(program, outputs, b * outputWords, outputWords, total, read, first + b));
        for (const buffer of held.splice(keep)) buffer.release();
        call.onProgress?.({ done: first + count, total: checked.batch, what: `samples of ${program.name}` });
      }
    } finally {
      for (const buffer of held) releaseQuietly(buffer);
    }
    const collected = collectOutputs(program, checked, read, samples);
    return {
      ...collected,
      steps: checked.steps,
      batch: checked.batch,
      firstStep: 0,
      synapticEvents: countEvents(program, fanOut, checked, collected.spikeCounts),
      seconds: (performance.now() - began) / 1000,
      machine: {
        cycles: Uint32Array.from(samples, ({ cycles }) => cycles),
        operations: Uint32Array.from(samples, ({ operations }) => operations),
      },
    };
  };

  const run = async (request: RunRequest, call: LongCallOptions): Promise<ProgramRunResult> => {
    if (closed) throw new TuttiError('DEVICE_CLOSED', 'the program engine was closed; create a new one');
    throwIfAborted(call.signal, 'running a program');
    if (home.device !== undefined) return runOn(home.device, request, call);
    for (let losses = 0; ; losses++) {
      const lease = await home.pool.lease({
        count: 1,
        ...(home.kind === undefined ? {} : { kind: home.kind }),
        ...(call.signal === undefined ? {} : { signal: call.signal }),
      });
      device = lease.devices[0]!;
      try {
        return await runOn(device, request, call);
      } catch (error) {
        if (!(error instanceof DeviceLostError) || losses + 1 >= maxReplays) throw error;
        // The pool hears of the loss in the same moments; the dead device must not be leased again.
        await device.lost;
      } finally {
        lease.release();
      }
    }
  };

  const close = async (): Promise<void> => {
    closed = true;
    await queue;
  };
  return {
    get program() {
      return loaded?.program ?? (typeof source === 'function' ? undefined : source);
    },
    get device() {
      return device;
    },
    batch,
    run(request, call = {}) {
      const result = queue.then(() => run(request, call));
      queue = result.catch(() => {});
      return result;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Loaded {
  readonly key?: string;
  readonly program: Program;
  readonly words: Uint32Array;
  readonly tables: Uint32Array;
  readonly stateWords: number;
  /** What requests are checked against: the program's populations. */
  readonly shell: SpikingNetwork;
  /** Neurons whose spikes are put out. */
  readonly recorded: number;
  readonly fanOut: ReadonlyMap<string, Float64Array>;
}

function prepare(program: Program): Loaded {
  const words = encodeProgram(program);
  const { words: tables, stateWords } = programTables(words);
  const recorded = program.neuronClass.reduce((sum, c) => sum + Number(program.classes[c]!.record), 0);
  return { program, words, tables, stateWords, shell: shellOf(program), recorded, fanOut: fanOutOf(program) };
}

/** A network of the program's populations without projections, complete enough for a request to be checked. */
function shellOf({ name, populations, synapses, maxSteps }: Program): SpikingNetwork {
  return {
    name,
    numeric: 'fixed',
    synapses,
    maxSteps,
    order: populations.map((p) => p.name),
    projections: [],
    populations: populations.map(({ name: who, model, size }) =>
      model === 'input'
        ? { name: who, model, size, shape: undefined, maxSpikesPerStep: 2 ** 24 }
        : {
            ...{ name: who, model, size, shape: undefined, leakShift: 0, bias: 0, initial: 0 },
            threshold: model === 'li' ? undefined : 0,
            reset: undefined,
            refractorySteps: undefined,
            maxSpikesPerStep: undefined,
          },
    ),
  };
}

/** Synapses that leave each neuron of each population. */
function fanOutOf(program: Program): Map<string, Float64Array> {
  const { ports } = program.machine;
  const perPort = program.machine.spus / ports;
  const ofAxon = new Float64Array(program.axons);
  program.spus.forEach(({ rowCount }, p) => {
    for (let row = 0; row < rowCount.length; row++) ofAxon[row * ports + Math.floor(p / perPort)]! += rowCount[row]!;
  });
  return new Map(
    program.populations.map(({ name, model, size, offset }) => {
      const sums = new Float64Array(size);
      for (let n = 0; n < size; n++) {
        if (model === 'input') {
          for (let k = program.inputStart[offset + n]!; k < program.inputStart[offset + n + 1]!; k++)
            sums[n]! += ofAxon[program.inputAxon[k]!]!;
        } else {
          const place = program.placement[offset + n]!;
          const first = program.firstAxon[place]!;
          for (let a = first; a < first + program.axonCount[place]!; a++) sums[n]! += ofAxon[a]!;
        }
      }
      return [name, sums];
    }),
  );
}

function countEvents(
  program: Program,
  fanOut: ReadonlyMap<string, Float64Array>,
  request: CheckedRequest,
  counts: Readonly<Record<string, Uint32Array>>,
): number {
  let events = 0;
  for (const { name, size } of program.populations) {
    const out = fanOut.get(name)!;
    const train = request.trains.get(name);
    if (train !== undefined) {
      for (let at = 0; at < train.index.length; at += 2)
        for (let k = train.index[at]!; k < train.index[at]! + train.index[at + 1]!; k++) events += out[train.ids[k]!]!;
    }
    counts[name]?.forEach((count, i) => (events += count * out[i % size]!));
  }
  return events;
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

/** @throws TuttiError LIMIT_EXCEEDED naming what did not hold, DEVICE_FAILED for words that are none of a machine */
function checkedSample(
  program: Program,
  words: Uint32Array,
  at: number,
  outputWords: number,
  total: number,
  read: ReadRequest,
  sample: number,
): SampleOutput {
  const output = readOutput(words.subarray(at, at + outputWords), 0, total, read);
  if (output.status === 0) return output;
  const said = explainStatus(output.status);
  if (output.status & OUTPUT_CUT) said.push('it put out more than it can');
  throw new TuttiError(
    'LIMIT_EXCEEDED',
    `program "${program.name}", sample ${sample}: ${said.join('; ')}; compile it for a machine with more accumulatorBits, potentialBits or queue (this one has ${program.machine.accumulatorBits}, ${program.machine.potentialBits}, ${program.machine.queue})`,
    { where: `sample ${sample}`, facts: { status: output.status } },
  );
}

function releaseQuietly(buffer: DeviceBuffer): void {
  try {
    buffer.release();
  } catch {
    // The device is gone, and its buffers with it.
  }
}

function invalid(where: string, what: string): TuttiError {
  return new TuttiError('INPUT_INVALID', `${where}: ${what}`, { where });
}
