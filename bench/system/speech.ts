/**
 * The recurrent network of models/fsdd on the 300 test recordings (takes 0-4), sound to label, backend by backend, and the encoder's filter bank
 * by itself: `npm run bench:suprasnn -- --only speech`.
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  countSynapses,
  createEngine,
  decodeMembrane,
  encodeCochlea,
  loadNetwork,
  type SpikingNetwork,
} from '../../host/snn/index.js';
import { hearLevels } from '../../host/snn/cochlea.js';
import { readFsdd, type Recording } from '../../models/fsdd/read-fsdd.js';
import { interleaved, median, type BenchContext } from '../report.js';

const BATCH = 50;
const SAMPLE_RATE = 8000;

interface Answers {
  readonly labels: number[];
  readonly inputSpikes: number;
  readonly hiddenSpikes: number;
  readonly operations: number;
  /** Wall time from sound in host memory to labels. */
  readonly seconds: number;
}

async function classify(network: SpikingNetwork, device: Device, recordings: readonly Recording[]): Promise<Answers> {
  const engine = await createEngine(network, { device }, { batch: BATCH });
  const labels: number[] = [];
  let [inputSpikes, hiddenSpikes, operations] = [0, 0, 0];
  const began = performance.now();
  for (let from = 0; from < recordings.length; from += BATCH) {
    const sounds = recordings.slice(from, from + BATCH).map(({ sound }) => sound);
    const input = await encodeCochlea(sounds, { device });
    const result = await engine.run({ inputs: { input }, record: { final: ['output'] } });
    labels.push(...decodeMembrane(result.final['output']!, { neurons: 10 }).labels);
    inputSpikes += input.ids.length;
    hiddenSpikes += result.spikeCounts['hidden']!.reduce((sum, count) => sum + count, 0);
    operations += result.synapticEvents;
  }
  const seconds = (performance.now() - began) / 1000;
  await engine.close();
  return { labels, inputSpikes, hiddenSpikes, operations, seconds };
}

export async function benchSpeech({ quick, data, say, table, bar }: BenchContext): Promise<void> {
  const network = loadNetwork(new Uint8Array(readFileSync('models/fsdd/recurrent.safetensors')));
  const recordings = readFsdd(data).filter(({ take }) => take < 5);
  const right = (labels: readonly number[], of: readonly Recording[] = recordings): number =>
    labels.reduce((sum, label, i) => sum + Number(label === of[i]!.digit), 0);
  const threads = cpus().length;
  const openers: Readonly<Record<string, () => Promise<Device>>> = {
    'Wasm, 1 thread': () => createWasmDevice(),
    ...(threads > 1 ? { [`Wasm, ${threads} threads`]: () => createWasmDevice({ threads }) } : {}),
    WebGPU: () => createWebGpuDevice(),
    Oracle: async () => createOracleDevice(),
  };
  const rows: (string | number | undefined)[][] = [];
  let first: Answers | undefined;
  let same = true;
  for (const [backend, open] of Object.entries(openers)) {
    let device: Device;
    try {
      device = await open();
    } catch (error) {
      say(`${backend}: ${error instanceof Error ? error.message : String(error)}`);
      rows.push([backend, 'not here']);
      continue;
    }
    say(backend);
    // The oracle and a software GPU are slow: fewer recordings, each digit and speaker among them.
    const slow = backend === 'Oracle' || device.capabilities.software;
    const part = slow && (quick || backend === 'Oracle') ? recordings.filter((_, i) => i % 5 === 0) : recordings;
    if (!slow) await classify(network, device, part); // compiled and warm before it is timed
    const answers = await classify(network, device, part);
    first ??= answers;
    const wanted = part === recordings ? first.labels : first.labels.filter((_, i) => i % 5 === 0);
    same &&= answers.labels.every((label, i) => label === wanted[i]);
    const count = part.length;
    rows.push([
      backend,
      device.capabilities.name,
      count,
      `${((100 * right(answers.labels, part)) / count).toFixed(2)} %`,
      answers.inputSpikes / count,
      answers.hiddenSpikes / count,
      answers.operations / count,
      count / answers.seconds,
    ]);
    await device.close();
  }
  const synapses = network.projections.map((p) => `${p.name} ${countSynapses(p).toLocaleString('en-US')}`);
  table({
    title: `Spoken digits, takes 0-4 of six speakers; ${synapses.join(', ')} synapses`,
    columns: [
      'backend',
      'device',
      'recordings',
      'right',
      'input spikes',
      'hidden spikes',
      'synaptic operations',
      'recordings/s',
    ],
    rows,
    note: `spikes and operations per recording; timed from sound to label, batches of ${BATCH}`,
  });
  await benchEncoder(recordings.slice(0, BATCH), quick, table);
  const accuracy = first && (100 * right(first.labels)) / recordings.length;
  bar('spoken digits right, recurrent, int8', '>=', 90, accuracy, '%');
  bar('backends that give every recording the same label', '>=', 1, same ? 1 : 0, 'all');
  const operations = first && first.operations / recordings.length;
  bar('synaptic operations per recording', '<=', 1_200_000, operations, 'operations');
}

/** The encoder on one batch, in plain TypeScript and on Wasm with one thread: the whole of it, and the filter bank alone. */
async function benchEncoder(
  recordings: readonly Recording[],
  quick: boolean,
  table: BenchContext['table'],
): Promise<void> {
  const sounds = recordings.map(({ sound }) => sound);
  const seconds = sounds.reduce((sum, sound) => sum + sound.length, 0) / SAMPLE_RATE;
  const device = await createWasmDevice();
  const timed = (run: () => Promise<unknown>) => async (): Promise<number> => {
    const began = performance.now();
    await run();
    return (performance.now() - began) / 1000;
  };
  const contestants = {
    encoder: timed(() => encodeCochlea(sounds)),
    encoderOnWasm: timed(() => encodeCochlea(sounds, { device })),
    filters: timed(() => hearLevels(sounds)),
    filtersOnWasm: timed(() => hearLevels(sounds, { device })),
  };
  for (const run of Object.values(contestants)) await run();
  const times = await interleaved(quick ? 3 : 9, contestants);
  await device.close();
  const row = (name: string, body: string, values: readonly number[], against: readonly number[]) => [
    name,
    body,
    1000 * median(values),
    seconds / median(values),
    median(against) / median(values),
  ];
  table({
    title: `Cochlea encoder, ${recordings.length} recordings, ${seconds.toFixed(1)} s of sound in 36 channels`,
    columns: ['what', 'body', 'ms', 'times real time', 'against TypeScript'],
    rows: [
      row('whole', 'TypeScript', times.encoder, times.encoder),
      row('whole', 'Wasm, 1 thread', times.encoderOnWasm, times.encoder),
      row('filter bank', 'TypeScript', times.filters, times.filters),
      row('filter bank', 'Wasm, 1 thread', times.filtersOnWasm, times.filters),
    ],
    note: 'medians of interleaved repeats; the crossings of levels, in both wholes, are found in TypeScript',
  });
}
