/** `tutti demo`: 200 handwritten digits through a spiking network on every backend that there is, and agents under a scheduler, shown to a person. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import pc from 'picocolors';
import type { Device } from '../device/device.js';
import type { RunResult, SpikingNetwork } from '../snn/index.js';
import type { AgentsResult } from './demo-agents.js';
import { accuracyOf, confusionMatrix, drawDigit } from './demo-drawing.js';

export interface BackendResult {
  readonly backend: string;
  readonly available: boolean;
  /** Why it is not available. */
  readonly why?: string;
  readonly device?: string;
  readonly accuracy?: number;
  readonly microsecondsPerImage?: number;
  readonly synapticEventsPerSecond?: number;
  readonly labels?: readonly number[];
  readonly notices?: readonly string[];
}

export interface DemoResult {
  readonly network: string;
  readonly synapses: number;
  readonly images: number;
  readonly backends: readonly BackendResult[];
  /** Whether every backend gave every image the same label. */
  readonly agreement: boolean;
  /** [true digit][answer], of the first backend. */
  readonly confusion: readonly (readonly number[])[];
  readonly agents: AgentsResult;
}

const SIDE = 28;
const SHOWN = [0, 8, 18];

const packaged = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../models/mnist/${name}`, import.meta.url)));

export function register(program: Command): void {
  const command = program
    .command('demo')
    .description(
      'classify 200 handwritten digits with a spiking network on every backend, and schedule agents on a small language model',
    )
    .option('--json', 'print one JSON object instead of pictures and tables')
    .option('--network <name>', 'sparse (20,000 synapses) or dense (84,000)', 'sparse')
    .action(async ({ json, network }: { json?: boolean; network: string }) => {
      const { TuttiError } = await import('../errors.js');
      if (network !== 'sparse' && network !== 'dense') {
        throw new TuttiError('OPTION_INVALID', `--network must be sparse or dense, got "${network}"`);
      }
      const write = (text: string): void => command.configureOutput().writeOut?.(`${text}\n`);
      const result = await runDemo(network, json ? () => {} : write);
      if (json) write(JSON.stringify(result, null, 2));
    });
}

export async function runDemo(name: 'sparse' | 'dense', write: (text: string) => void): Promise<DemoResult> {
  const { countSynapses, encodeLatency, loadNetwork, parseIdx } = await import('../snn/index.js');
  const network = loadNetwork(packaged(`${name}.safetensors`));
  const recipe = JSON.parse(new TextDecoder().decode(packaged('recipe.json'))) as {
    steps: number;
    pixelThreshold: number;
  };
  const images = parseIdx(packaged('t200-images.idx3-ubyte')).data;
  const labels = parseIdx(packaged('t200-labels.idx1-ubyte')).data;
  const count = labels.length;
  const synapses = network.projections.reduce((sum, projection) => sum + countSynapses(projection), 0);
  const input = encodeLatency(images, { neurons: SIDE * SIDE, steps: recipe.steps, threshold: recipe.pixelThreshold });
  write(
    `${pc.bold(`${count} handwritten digits`)}, none of them seen in training, through a spiking network of ${synapses.toLocaleString('en')} synapses (int8), ${recipe.steps} steps each\n`,
  );

  const backends: BackendResult[] = [];
  const openers = await listBackends();
  const progress = await progressBar(openers.length);
  for (const { backend, open } of openers) {
    progress.next(backend);
    backends.push(await measure(backend, open, network, input, labels, () => progress.tick()));
  }
  progress.stop();

  const { createEngine } = await import('../snn/index.js');
  const { createWasmDevice } = await import('../device/wasm.js');
  await withDevice(await createWasmDevice(), async (device) => {
    const engine = await createEngine(network, { device }, { batch: count });
    const shown = await engine.run({ inputs: { input }, record: { spikes: ['input', 'hidden'], final: ['output'] } });
    for (const sample of SHOWN) write(`${drawDigit(images, shown, sample, labels[sample]!)}\n`);
  });

  const first = backends.find((b) => b.labels !== undefined);
  const agreement = backends.every(
    (b) => b.labels === undefined || b.labels.every((label, i) => label === first!.labels![i]),
  );
  const confusion = confusionMatrix(labels, first?.labels ?? []);
  write(table(backends));
  write(agreement ? 'every backend gave every image the same label' : pc.red('the backends disagree'));
  write(
    `\n${pc.bold('Confusion')} (rows: the digit, columns: the answer)\n${confusion.map((row, digit) => `  ${digit} |${row.map((n) => String(n || '·').padStart(4)).join('')}`).join('\n')}`,
  );
  const { runAgents } = await import('./demo-agents.js');
  const agents = await runAgents(write);
  return { network: name, synapses, images: count, backends, agreement, confusion, agents };
}

interface Opener {
  readonly backend: string;
  readonly open: () => Promise<Device>;
}

async function listBackends(): Promise<readonly Opener[]> {
  const { createWasmDevice, describeWasm } = await import('../device/wasm.js');
  const { createWebGpuDevice } = await import('../device/webgpu.js');
  const { createFpgaDevice } = await import('../fpga/create-fpga-device.js');
  const { processors } = describeWasm();
  const threads = Math.min(8, processors);
  return [
    { backend: 'Wasm, 1 thread', open: () => createWasmDevice() },
    ...(threads > 1 ? [{ backend: `Wasm, ${threads} threads`, open: () => createWasmDevice({ threads }) }] : []),
    { backend: 'WebGPU', open: () => createWebGpuDevice() },
    { backend: 'FPGA design (its RTL, simulated)', open: () => createFpgaDevice() },
  ];
}

/** Classifies the images until half a second has gone by, and takes the median run. */
async function measure(
  backend: string,
  open: () => Promise<Device>,
  network: SpikingNetwork,
  input: Parameters<typeof import('../snn/index.js').decodeFirstSpike>[0],
  truth: Uint8Array,
  tick: () => void,
): Promise<BackendResult> {
  const { createEngine, decodeMembrane } = await import('../snn/index.js');
  let device: Device;
  try {
    device = await open();
  } catch (error) {
    return { backend, available: false, why: error instanceof Error ? error.message : String(error) };
  }
  return withDevice(device, async () => {
    const engine = await createEngine(network, { device }, { batch: truth.length });
    const run = (): Promise<RunResult> => engine.run({ inputs: { input }, record: { final: ['output'] } });
    let result = await run();
    const seconds: number[] = [];
    const until = performance.now() + 500;
    while (seconds.length < 1 || (performance.now() < until && seconds.length < 200)) {
      result = await run();
      seconds.push(result.seconds);
      tick();
    }
    const median = seconds.sort((a, b) => a - b)[seconds.length >> 1]!;
    const labels = [...decodeMembrane(result.final['output']!, { neurons: 10 }).labels];
    return {
      backend,
      available: true,
      device: device.capabilities.name,
      accuracy: accuracyOf(truth, labels),
      microsecondsPerImage: (median / truth.length) * 1e6,
      synapticEventsPerSecond: result.synapticEvents / median,
      labels,
      notices: device.capabilities.notices,
    };
  });
}

async function withDevice<T>(device: Device, work: (device: Device) => Promise<T>): Promise<T> {
  try {
    return await work(device);
  } finally {
    await device.close();
  }
}

interface ProgressBar {
  next(what: string): void;
  tick(): void;
  stop(): void;
}

/** A bar on standard error, where that is a terminal. */
async function progressBar(backends: number): Promise<ProgressBar> {
  if (!process.stderr.isTTY) return { next: () => {}, tick: () => {}, stop: () => {} };
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format: '{bar} {percentage}% {what}',
    hideCursor: true,
    clearOnComplete: true,
  });
  // Each backend gets the same part of the bar and fills it run by run, slower towards its end.
  let part = -1;
  let filled = 0;
  let what = '';
  bar.start(backends, 0, { what });
  return {
    next(backend) {
      part++;
      filled = 0;
      what = `classifying on ${backend}`;
      bar.update(part, { what });
    },
    tick() {
      filled += (1 - filled) / 8;
      bar.update(part + filled, { what });
    },
    stop: () => bar.stop(),
  };
}

function table(backends: readonly BackendResult[]): string {
  const rows = [
    ['backend', 'device', 'accuracy', 'µs / image', 'synaptic events / s'],
    ...backends
      .filter((b) => b.available)
      .map((b) => [
        b.backend,
        b.device!,
        `${(100 * b.accuracy!).toFixed(1)} %`,
        b.microsecondsPerImage!.toFixed(1),
        `${(b.synapticEventsPerSecond! / 1e6).toFixed(0)} M`,
      ]),
  ];
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const lines = rows.map((row, r) => {
    const line = row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
    return r === 0 ? pc.dim(line) : line;
  });
  for (const b of backends) {
    if (!b.available) lines.push(`${pc.yellow('not here')}  ${b.backend}: ${b.why}`);
    for (const notice of b.notices ?? []) lines.push(`${pc.yellow('note')}  ${b.backend}: ${notice}`);
  }
  return lines.join('\n');
}
