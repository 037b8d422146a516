/** A spiking engine that compiles its network for a synapse machine and runs the program: `createEngine` with `execution`, or on a board. */
import { TuttiError } from '../errors.js';
import type { Device, LongCallOptions } from '../device/device.js';
import { compileNetwork } from './compile/compile.js';
import type { EngineHome, EngineOptions, RunResult, SpikingEngine } from './engine.js';
import type { RunRequest } from './engine-request.js';
import type { MachineConfig } from './machine/config.js';
import type { SpikingNetwork } from './network.js';
import { createProgramEngine, type ProgramRunResult } from './program-engine.js';

/** Where no hardware sets limits: memories as large as words can address. */
const BOUNDLESS: MachineConfig = {
  spus: 16,
  ports: 1,
  lanes: 8,
  weightBits: 8,
  weights: 256,
  operations: 2 ** 24,
  accumulators: 2 ** 15,
  axons: 2 ** 20,
  neurons: 2 ** 16,
  classes: 64,
  fifo: 1024,
  delaySlots: 1024,
  queue: 2 ** 20,
  accumulatorBits: 30,
  potentialBits: 30,
};

/** @throws TuttiError NETWORK_INVALID, LIMIT_EXCEEDED (a network that does not fit the device's machine), OPTION_INVALID */
export async function createMachineEngine(
  network: SpikingNetwork,
  home: EngineHome,
  options: EngineOptions,
): Promise<SpikingEngine> {
  if (network.numeric !== 'fixed')
    throw new TuttiError(
      'NETWORK_INVALID',
      `network "${network.name}" is float32; the synapse machine computes in integers: quantise it first (quantiseNetwork)`,
      { where: 'numeric' },
    );
  const { batch = 1, maxReplays } = options;
  const programs = new Map<string, ReturnType<typeof compileNetwork>>();
  const programFor = (device: Device): ReturnType<typeof compileNetwork> => {
    const machine = device.capabilities.machine ?? options.compile?.machine ?? BOUNDLESS;
    const key = JSON.stringify(machine);
    let program = programs.get(key);
    if (program === undefined) {
      program = compileNetwork(network, { ...options.compile, machine });
      programs.set(key, program);
    }
    return program;
  };
  // What does not fit is found out now, not in the first run.
  if (home.device !== undefined) programFor(home.device);
  const engine = await createProgramEngine(programFor, home, {
    batch,
    ...(maxReplays === undefined ? {} : { maxReplays }),
  });
  return {
    network,
    batch,
    get device() {
      return engine.device!;
    },
    strategies: {},
    run: (request: RunRequest, call?: LongCallOptions): Promise<ProgramRunResult> => engine.run(request, call),
    close: () => engine.close(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}

/**
 * Both ways of running a fixed-point network on one home; the first run is made on both, twice, and the faster one is kept. What the machine
 * cannot run (or not in this way: currents, runs that continue) goes to the scatter engine.
 */
export async function createMeasuredEngine(
  network: SpikingNetwork,
  home: EngineHome,
  scatter: SpikingEngine,
  options: EngineOptions,
): Promise<SpikingEngine> {
  let machine: SpikingEngine | undefined;
  try {
    machine = await createMachineEngine(network, home, options);
  } catch (error) {
    if (!(error instanceof TuttiError) || (error.code !== 'NETWORK_INVALID' && error.code !== 'LIMIT_EXCEEDED'))
      throw error;
  }
  let chosen = machine === undefined ? scatter : undefined;
  const time = async (engine: SpikingEngine, request: RunRequest, call?: LongCallOptions) => {
    const first = await engine.run(request, call);
    const second = await engine.run(request, call);
    return { result: second, seconds: Math.min(first.seconds, second.seconds) };
  };
  const run = async (request: RunRequest, call?: LongCallOptions): Promise<RunResult> => {
    const plain =
      request.continue !== true && Object.values(request.inputs ?? {}).every(({ kind }) => kind === 'spikes');
    if (!plain) return scatter.run(request, call);
    if (chosen !== undefined) return chosen.run(request, call);
    const [a, b] = [await time(scatter, request, call), await time(machine!, request, call)];
    chosen = b.seconds < a.seconds ? machine! : scatter;
    return chosen === scatter ? a.result : b.result;
  };
  const close = async (): Promise<void> => {
    await Promise.all([scatter.close(), machine?.close()]);
  };
  return {
    network,
    batch: scatter.batch,
    get device() {
      return scatter.device;
    },
    get strategies() {
      return scatter.strategies;
    },
    run,
    close,
    [Symbol.asyncDispose]: close,
  };
}
