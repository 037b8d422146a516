/** Spiking engines that compile their network for a synapse machine and run the program: what `execution` of `createEngine` chooses. */
import { TuttiError } from '../errors.js';
import type { Device, LongCallOptions } from '../device/device.js';
import { compileNetwork, type CompileOptions } from './compile/compile.js';
import type { EngineHome } from './engine-home.js';
import type { EngineOptions, Execution, RunResult, SpikingEngine } from './engine.js';
import type { RunRequest } from './engine-request.js';
import type { MachineConfig } from './machine/config.js';
import type { Program } from './machine/program.js';
import type { Population, SpikingNetwork } from './network.js';
import { createProgramEngine, type ProgramRunResult } from './program-engine.js';
import { invalid, sliceTrain, type SpikeTrain } from './spike-train.js';

/** Where no hardware sets limits: memories as large as words can address. */
const BOUNDLESS: MachineConfig = {
  spus: 1,
  ports: 1,
  lanes: 4,
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

/** In software SPUs are only ways to divide the work: one per thread, and enough for their accumulators and operations. */
function softwareMachine(network: SpikingNetwork, threads: number): MachineConfig {
  const neurons = (network.populations as readonly Population[])
    .filter(({ model }) => model !== 'input')
    .reduce((sum, { size }) => sum + size, 0);
  const least = Math.max(
    threads,
    neurons / BOUNDLESS.accumulators,
    network.synapses / (0.75 * BOUNDLESS.operations),
    1,
  );
  return { ...BOUNDLESS, spus: Math.min(64, 2 ** Math.ceil(Math.log2(least))) };
}

/**
 * Compiles for the machine that the device is, else for `compile.machine`, else for one without limits.
 * @throws TuttiError NETWORK_INVALID, LIMIT_EXCEEDED (a network that does not fit the machine), and what `createProgramEngine` throws
 */
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
  const { batch = 1, maxReplays, signal } = options;
  const programs = new Map<string, Program>();
  const programFor = ({ capabilities }: Device): Program => {
    const given = capabilities.machine ?? options.compile?.machine;
    const choice: CompileOptions =
      given === undefined
        ? { strategy: 'by-post', ...options.compile, machine: softwareMachine(network, capabilities.threads) }
        : { ...options.compile, machine: given };
    const key = JSON.stringify(choice.machine);
    let program = programs.get(key);
    if (program === undefined) {
      program = compileNetwork(network, { ...choice, ...(signal === undefined ? {} : { signal }) });
      programs.set(key, program);
    }
    return program;
  };
  const engine = await createProgramEngine(programFor, home, {
    batch,
    ...(maxReplays === undefined ? {} : { maxReplays }),
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    network,
    batch,
    execution: 'machine',
    get device() {
      return engine.device;
    },
    strategies: {},
    run: (request: RunRequest, call?: LongCallOptions): Promise<ProgramRunResult> => engine.run(request, call),
    close: () => engine.close(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}

/** A first run is tried over this many steps at most. */
const MEASURED_STEPS = 64;
const MEASURED_ROUNDS = 3;

/**
 * Runs as the scatter engine does until the first run whose inputs are all spikes; tries both ways on that one, one after the other, so that one
 * device is enough; and keeps the faster. A run that only the scatter engine can make brings that back.
 */
export async function createMeasuredEngine(
  network: SpikingNetwork,
  home: EngineHome,
  options: EngineOptions,
  createEngine: (network: SpikingNetwork, home: EngineHome, options: EngineOptions) => Promise<SpikingEngine>,
): Promise<SpikingEngine> {
  const create = (execution: Execution): Promise<SpikingEngine> =>
    createEngine(network, home, { ...options, execution });
  let engine = await create('scatter');
  let alive = true;
  let unmeasured = network.numeric === 'fixed';
  let closed = false;
  let queue: Promise<unknown> = Promise.resolve();

  const change = async (execution: Execution): Promise<void> => {
    alive = false;
    await engine.close();
    engine = await create(execution);
    alive = true;
  };
  const time = async (trial: RunRequest, call: LongCallOptions): Promise<number> => {
    let best = Infinity;
    for (let round = 0; round < MEASURED_ROUNDS; round++)
      best = Math.min(best, (await engine.run(trial, { signal: call.signal })).seconds);
    return best;
  };
  const measure = async (request: RunRequest, call: LongCallOptions): Promise<void> => {
    const trial = shortened(request);
    if (engine.execution !== 'scatter') await change('scatter');
    const scatter = await time(trial, call);
    try {
      await change('machine');
      if ((await time(trial, call)) < scatter) return;
    } catch (error) {
      // What no machine can run, or not in this much memory, is run as before.
      if (!(error instanceof TuttiError) || !PASSED_OVER.includes(error.code)) throw error;
    }
    await change('scatter');
  };
  const run = async (request: RunRequest, call: LongCallOptions): Promise<RunResult> => {
    if (closed)
      throw new TuttiError('DEVICE_CLOSED', `the engine of network "${network.name}" was closed; create a new one`);
    // A change that was aborted or refused left nothing.
    if (!alive) await change('scatter');
    const currents = Object.values(request.inputs ?? {}).some((input) => input?.kind === 'current');
    if (request.continue === true && engine.execution === 'machine') {
      throw invalid(
        'continue',
        "cannot be: the run before was made on a machine, which was measured to be faster; create the engine with execution: 'scatter'",
      );
    }
    if (currents && engine.execution === 'machine') await change('scatter');
    if (unmeasured && !currents && request.continue !== true) {
      await measure(request, call);
      unmeasured = false;
    }
    return engine.run(request, call);
  };
  const close = async (): Promise<void> => {
    closed = true;
    await queue;
    await engine.close();
  };
  return {
    network,
    batch: engine.batch,
    get execution() {
      return engine.execution;
    },
    get device() {
      return engine.device;
    },
    get strategies() {
      return engine.strategies;
    },
    run(request, call = {}) {
      const result = queue.then(() => run(request, call));
      queue = result.catch(() => {});
      return result;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const PASSED_OVER: readonly string[] = ['NETWORK_INVALID', 'LIMIT_EXCEEDED', 'MEMORY_REFUSED', 'KERNEL_UNSUPPORTED'];

/** The first steps of a request; what is wrong with it is for the engines to say. */
function shortened(request: RunRequest): RunRequest {
  const inputs = request.inputs as Readonly<Record<string, SpikeTrain>> | undefined;
  const longest = request.steps ?? Math.max(0, ...Object.values(inputs ?? {}).map((train) => train?.steps ?? 0));
  if (inputs === undefined || !(longest > MEASURED_STEPS)) return request;
  return {
    ...request,
    steps: MEASURED_STEPS,
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([name, train]) => [
        name,
        train.steps > MEASURED_STEPS ? sliceTrain(train, 0, MEASURED_STEPS) : train,
      ]),
    ),
  };
}
