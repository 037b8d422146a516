/** The page: draw a digit, and a spiking network classifies it on the backend of your choice while you draw. */
import { createFpgaDevice, createWasmDevice, createWebGpuDevice, describeDevices, type Device } from 'tutti';
import {
  createEngine,
  decodeMembrane,
  encodeLatency,
  loadNetwork,
  parseIdx,
  type ProgramRunResult,
  type RunResult,
  type SpikingEngine,
  type SpikingNetwork,
} from 'tutti/snn';
import recipe from '../../models/mnist/recipe.json' with { type: 'json' };
import { createPad, SIDE } from './drawing.js';
import { drawRaster, drawTraces } from './plots.js';

type BackendName = 'wasm' | 'wasm-threads' | 'webgpu' | 'fpga';

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const pad = createPad(element<HTMLCanvasElement>('pad'), () => ask());
const notice = element('notice');
const chooser = element<HTMLSelectElement>('backend');
const votes = element('votes');

const fetched = async (name: string): Promise<Uint8Array> => {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} could not be loaded (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
};

const opened = new Map<BackendName, Promise<SpikingEngine>>();
let network: SpikingNetwork;
let chosen: BackendName = 'wasm';

function engineOn(name: BackendName): Promise<SpikingEngine> {
  let engine = opened.get(name);
  if (!engine) {
    const open = async (): Promise<Device> => {
      if (name === 'webgpu') return createWebGpuDevice();
      if (name === 'fpga') return createFpgaDevice();
      return createWasmDevice({ threads: name === 'wasm-threads' ? 'auto' : 1 });
    };
    engine = open().then((device) => {
      if (device.capabilities.notices.length) notice.textContent = device.capabilities.notices.join('; ');
      // A lost device is opened again at the next digit.
      void device.lost.then(() => opened.delete(name));
      return createEngine(network, { device });
    });
    engine.catch(() => opened.delete(name));
    opened.set(name, engine);
  }
  return engine;
}

interface Shown {
  readonly result: RunResult;
  readonly label: number;
}
let shown: Shown | undefined;
let moving = 0;

function draw(until: number): void {
  if (!shown) return;
  const { spikes, membranes } = shown.result;
  drawRaster(
    element<HTMLCanvasElement>('raster'),
    [
      { name: 'input', train: spikes['input']! },
      { name: 'hidden', train: spikes['hidden']! },
    ],
    until,
  );
  drawTraces(element<HTMLCanvasElement>('traces'), membranes['output']!.values, 10, until, shown.label);
}

/** Plays the steps once, half a second in all. */
function play(): void {
  cancelAnimationFrame(moving);
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const start = performance.now();
  const frame = (now: number): void => {
    const until = calm ? recipe.steps : Math.min(recipe.steps, ((now - start) / 500) * recipe.steps);
    draw(until);
    if (until < recipe.steps) moving = requestAnimationFrame(frame);
  };
  moving = requestAnimationFrame(frame);
}

function show(result: RunResult, microseconds: number): void {
  const potentials = result.final['output']!;
  const label = decodeMembrane(potentials, { neurons: 10 }).labels[0]!;
  shown = { result, label };
  element('digit').textContent = String(label);
  const [low, high] = [Math.min(...potentials), Math.max(...potentials)];
  [...votes.children].forEach((row, digit) => {
    row.toggleAttribute('data-best', digit === label);
    const bar = row.querySelector('span')!;
    bar.style.width = `${(100 * (potentials[digit]! - low)) / Math.max(1, high - low)}%`;
    row.setAttribute('title', `membrane potential ${potentials[digit]}`);
    (row as HTMLElement).dataset['potential'] = String(potentials[digit]);
  });
  element('time').textContent = `${microseconds.toFixed(0)} µs`;
  const cycles = (result as Partial<ProgramRunResult>).machine?.cycles[0];
  element('cycles').textContent = cycles ? `${cycles}, ${(cycles / 100).toFixed(1)} µs at 100 MHz` : '–';
  element('events').textContent = result.synapticEvents.toLocaleString('en');
  element('spikes').textContent = (
    result.spikes['input']!.ids.length + result.spikes['hidden']!.ids.length
  ).toLocaleString('en');
  document.body.dataset['answered'] = `${chosen} ${label}`;
  play();
}

let busy = false;
let again = false;

/** Classifies what is on the pad; while one run is under way the newest drawing waits. */
function ask(): void {
  if (busy) {
    again = true;
    return;
  }
  const image = pad.image();
  if (!image || !network) return;
  busy = true;
  void classify(image)
    .catch((error: unknown) => {
      notice.textContent = error instanceof Error ? error.message : String(error);
    })
    .finally(() => {
      busy = false;
      if (again) {
        again = false;
        requestAnimationFrame(ask);
      }
    });
}

async function classify(image: Uint8Array): Promise<void> {
  const engine = await engineOn(chosen);
  const start = performance.now();
  const input = encodeLatency(image, { neurons: SIDE * SIDE, steps: recipe.steps, threshold: recipe.pixelThreshold });
  const result = await engine.run({
    inputs: { input },
    record: { spikes: ['input', 'hidden'], membrane: [{ population: 'output' }], final: ['output'] },
  });
  show(result, (performance.now() - start) * 1000);
}

async function listBackends(): Promise<void> {
  const add = (value: BackendName, text: string, why?: string): void => {
    const option = new Option(why ? `${text}: ${why}` : text, value);
    option.disabled = why !== undefined;
    chooser.append(option);
  };
  for (const device of await describeDevices()) {
    const why = device.available ? undefined : device.why;
    if (device.kind === 'webgpu') add('webgpu', device.name ? `WebGPU, ${device.name}` : 'WebGPU', why);
    if (device.kind === 'fpga') add('fpga', 'the FPGA design itself (its RTL, simulated)', why);
    if (device.kind !== 'wasm') continue;
    add('wasm', 'WebAssembly, 1 thread', why);
    const threads = device.threads ?? 1;
    add(
      'wasm-threads',
      `WebAssembly, ${threads} threads`,
      why ?? (threads > 1 ? undefined : 'one processor, or the page is not cross-origin isolated'),
    );
  }
}

async function start(): Promise<void> {
  for (let digit = 0; digit < 10; digit++) {
    const row = document.createElement('li');
    row.append(String(digit), document.createElement('span'));
    votes.append(row);
  }
  const [file, imageBytes, labelBytes] = await Promise.all(
    ['network.safetensors', 'images.idx', 'labels.idx'].map(fetched),
  );
  network = loadNetwork(file!);
  const images = parseIdx(imageBytes!).data;
  const labels = parseIdx(labelBytes!).data;
  let sample = 0;
  const showSample = (): void => {
    document.body.dataset['sample'] = String(labels[sample]);
    pad.show(images.slice(sample * SIDE * SIDE, (sample + 1) * SIDE * SIDE));
    sample = (sample + 1) % labels.length;
  };
  showSample();
  await classify(pad.image()!);
  document.body.dataset['firstResult'] = String(Math.round(performance.now()));

  element('sample').addEventListener('click', () => {
    showSample();
    ask();
  });
  element('clear').addEventListener('click', () => {
    pad.clear();
    cancelAnimationFrame(moving);
    shown = undefined;
    element('digit').textContent = '–';
    for (const id of ['raster', 'traces']) {
      const canvas = element<HTMLCanvasElement>(id);
      canvas.getContext('2d')!.clearRect(0, 0, canvas.width, canvas.height);
    }
    for (const row of votes.children) {
      row.removeAttribute('data-best');
      row.querySelector('span')!.style.width = '0';
    }
    for (const id of ['time', 'events', 'spikes', 'cycles']) element(id).textContent = '–';
  });
  chooser.addEventListener('change', () => {
    chosen = chooser.value as BackendName;
    notice.textContent = '';
    ask();
  });
  addEventListener('resize', () => draw(recipe.steps));
  await listBackends();
  // Once more, now that everything is compiled, so that the time shown is that of a run.
  ask();
}

start().catch((error: unknown) => {
  notice.textContent = error instanceof Error ? error.message : String(error);
});
