/**
 * Runs programs of the synapse machine on any device: as the kernel `runProgram` on Wasm, WebGPU and the oracle, on the RTL where the
 * device is of kind 'fpga'. Requests and results are those of the spiking engine, and the results are the same to the bit.
 */
import { DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import type { Device, LongCallOptions } from '../device/device.js';
import { createResidence, type EngineHome } from './engine-home.js';
import { checkRequest, type RunRequest } from './engine-request.js';
import type { RunResult } from './engine.js';
import { spusPerPort } from './machine/config.js';
import type { Program } from './machine/program.js';
import type { SpikingNetwork } from './network.js';
import { runOnProgramState, type MachineFigures } from './program-run.js';
import { createProgramState, type ProgramState } from './program-state.js';
import { invalid } from './spike-train.js';
import { countSynapticEvents } from './synaptic-events.js';

export type { MachineFigures } from './program-run.js';

export interface ProgramRunResult extends RunResult {
  readonly machine: MachineFigures;
}

export interface ProgramEngineOptions extends LongCallOptions {
  /** Largest number of samples in one run. Default 1. */
  readonly batch?: number;
  /** Bytes of outputs and scratch held on the device for the samples that run at a time. Default 64 MiB. */
  readonly bufferBytes?: number;
  /** With a pool: how many devices may be lost during one run before it fails. Default 5. */
  readonly maxReplays?: number;
}

export interface ProgramEngine {
  /** The one for the device that it is on. */
  readonly program: Program;
  /** The device that it is on at the moment. */
  readonly device: Device;
  readonly batch: number;
  /**
   * As `SpikingEngine.run`; every run starts afresh, populations cannot be driven by currents, and spikes are there of those populations
   * that the program records.
   * @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED (steps; a sum that left its width, a queue that was full), ABORTED, MEMORY_REFUSED,
   *   DEVICE_CLOSED, KERNEL_UNSUPPORTED (a program for another machine); DeviceLostError without a pool, or when the pool cannot help
   */
  run(request: RunRequest, options?: LongCallOptions): Promise<ProgramRunResult>;
  /** Waits for runs in progress, then releases all device memory (and the lease). Idempotent. The device stays open. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A program, or what makes the one for a device that is about to run it. */
export type ProgramSource = Program | ((device: Device) => Program | Promise<Program>);

const DEFAULT_BUFFER_BYTES = 2 ** 26;

/**
 * Puts a program on a device.
 * @throws TuttiError OPTION_INVALID, FILE_INVALID (a program that is not sound), MEMORY_REFUSED, LIMIT_EXCEEDED, ABORTED, and what a
 *   source throws; nothing stays allocated then
 */
export async function createProgramEngine(
  source: ProgramSource,
  home: EngineHome,
  options: ProgramEngineOptions = {},
): Promise<ProgramEngine> {
  const { batch = 1, maxReplays = 5, bufferBytes = DEFAULT_BUFFER_BYTES } = options;
  for (const [where, value] of Object.entries({ batch, maxReplays, bufferBytes })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TuttiError('OPTION_INVALID', `${where} must be a whole number of at least 1, got ${String(value)}`, {
        where,
      });
  }
  let program: Program;
  let closed = false;
  let queue: Promise<unknown> = Promise.resolve();
  /** What is worked out once for a program. */
  const facts = new WeakMap<Program, ProgramFacts>();
  const residence = createResidence<ProgramState>(home, {
    what: 'a program',
    maxReplays,
    bytes: () => 0,
    make: async (device) => {
      program = typeof source === 'function' ? await source(device) : source;
      return createProgramState(device, program);
    },
  });

  const run = async (request: RunRequest, call: LongCallOptions): Promise<ProgramRunResult> => {
    if (closed)
      throw new TuttiError('DEVICE_CLOSED', `the engine of program "${program.name}" was closed; create a new one`);
    throwIfAborted(call.signal, `running program "${program.name}"`);
    if (request.continue === true)
      throw invalid('continue', 'cannot be: a machine starts every sample afresh; run it as a whole');
    const driven = Object.entries(request.inputs ?? {}).find(([, input]) => input?.kind === 'current');
    if (driven !== undefined)
      throw invalid(`inputs.${driven[0]}`, "is a current, but a machine takes spikes; use execution: 'scatter'");
    const began = performance.now();
    try {
      return await residence.surviving(async () => {
        const state = await residence.ready(call);
        let known = facts.get(state.program);
        if (known === undefined) facts.set(state.program, (known = factsOf(state.program)));
        const checked = checkRequest(known.shell, batch, request);
        const outputs = await runOnProgramState(state, checked, bufferBytes, call);
        return {
          ...outputs,
          steps: checked.steps,
          batch: checked.batch,
          firstStep: 0,
          synapticEvents: countSynapticEvents(known.fanOuts, checked.trains, outputs.spikeCounts),
          seconds: (performance.now() - began) / 1000,
        };
      }, call);
    } catch (error) {
      if (error instanceof DeviceLostError) residence.drop();
      throw error;
    }
  };

  const close = async (): Promise<void> => {
    closed = true;
    await queue;
    residence.drop();
  };
  await residence.surviving(() => residence.ready(options), options);
  return {
    get program() {
      return program;
    },
    get device() {
      return residence.device!;
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

interface ProgramFacts {
  /** What requests are checked against. */
  readonly shell: SpikingNetwork;
  /** Synapses that leave each neuron of each population. */
  readonly fanOuts: ReadonlyMap<string, Float64Array>;
}

function factsOf(program: Program): ProgramFacts {
  return { shell: shellOf(program), fanOuts: fanOutsOf(program) };
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
        ? { name: who, model, size, shape: undefined, maxSpikesPerStep: Infinity }
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

function fanOutsOf(program: Program): Map<string, Float64Array> {
  const { ports } = program.machine;
  const perPort = spusPerPort(program.machine);
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
