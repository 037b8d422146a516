/** Each spiking kernel alone on one Wasm thread, against the memory bandwidth measured in the same run. */
import { createWasmDevice } from '../../host/device/wasm.js';
import type { DeviceBuffer, KernelCall } from '../../host/device/device.js';
import * as kernels from '../../host/kernels/snn/index.js';
import { seededRandom } from '../../host/snn/index.js';
import { interleaved, median, type BenchContext } from '../report.js';

export async function benchKernels({ quick, table }: BenchContext): Promise<void> {
  const device = await createWasmDevice();
  const random = seededRandom(11);
  const zeros = (label: string, elements: number): DeviceBuffer => device.allocate(4 * elements, label);
  const filled = (label: string, values: ArrayBufferView): DeviceBuffer => {
    const buffer = device.allocate(values.byteLength, label);
    device.write(buffer, values);
    return buffer;
  };
  const [batch, neurons, pres] = [1, 1 << 18, 4096];
  const posts = 4096;
  const spikes = 400;
  const fanOut = 200;
  const firing = Uint32Array.from({ length: spikes }, (_, i) => Math.floor((i * pres) / spikes));
  const spikeIndex = filled('index', Uint32Array.of(0, spikes));
  const spikeIds = filled('ids', firing);
  const rowStart = filled(
    'rows',
    Uint32Array.from({ length: pres + 1 }, (_, i) => i * fanOut),
  );
  const columnList = new Uint32Array(pres * fanOut);
  for (let i = 0; i < pres; i++) {
    for (let k = 0; k < fanOut; k++) columnList[i * fanOut + k] = Math.floor(((k + random.uniform()) * posts) / fanOut);
  }
  const columns = filled('columns', columnList);
  const sparseF32 = filled('weights', new Float32Array(pres * fanOut).fill(0.5));
  const sparseI8 = filled('weights', new Int8Array(pres * fanOut).fill(3));
  const denseF32 = filled('matrix', new Float32Array(pres * posts).fill(0.25));
  const denseI8 = filled('matrix', new Int8Array(pres * posts).fill(2));
  const input = zeros('input', posts);
  const stream = {
    spikeIndex,
    spikeIds,
    batch,
    posts,
    slots: 1,
    delay: 0,
    inputStride: posts,
    inputOffset: 0,
    origin: 0,
    shift: 0,
    input,
  };
  const state = { batch, neurons, uniform: 1, spiking: 1 };
  const v = zeros('v', neurons);
  const drive = zeros('drive', neurons);
  const refractory = zeros('refractory', neurons);
  const spikeBits = zeros('bits', neurons / 32);
  const ring = {
    spikeIndex: zeros('ring index', 2),
    spikeIds: zeros('ring', neurons),
    totals: zeros('totals', neurons),
  };
  const sparseBits = filled(
    'sparse bits',
    Uint32Array.from({ length: neurons / 32 }, (_, i) => (i % 4 === 0 ? 0x00010000 : 0)),
  );
  const decays = new Float32Array(2 * 65 * 3).fill(0.99);
  for (let p = 0; p <= 64; p++) decays[6 * p + 3] = 1;
  const events = spikes * fanOut;

  /** [name, call, bytes that must move, operations of its kind, what they are] */
  const subjects: readonly (readonly [KernelCall, number, number, string])[] = [
    [
      kernels.scatterRowsF32({ ...stream, parts: 1, rowStart, columns, weights: sparseF32 }),
      events * 16,
      events,
      'synaptic events',
    ],
    [
      kernels.scatterRowsI8({ ...stream, parts: 1, rowStart, columns, weights: sparseI8 }),
      events * 13,
      events,
      'synaptic events',
    ],
    [
      kernels.denseRowsF32({ ...stream, weights: denseF32, rowStride: posts }),
      spikes * posts * 4,
      spikes * posts,
      'synaptic events',
    ],
    [
      kernels.denseRowsI8({ ...stream, weights: denseI8, rowStride: posts }),
      spikes * posts,
      spikes * posts,
      'synaptic events',
    ],
    [
      kernels.neuronStepF32({
        ...state,
        v,
        input: drive,
        constants: filled('c', Float32Array.of(0.9, 0, 1, 0, 0, 1, 0)),
        refractory,
        spikeBits,
        receptors: 1,
        resetMode: 0,
      }),
      neurons * 20,
      neurons,
      'neuron updates',
    ],
    [
      kernels.neuronStepI32({
        ...state,
        v,
        input: drive,
        constants: filled('c', Int32Array.of(4, 1000, 0, 0, 0)),
        refractory,
        spikeBits,
        subtract: 1,
      }),
      neurons * 20,
      neurons,
      'neuron updates',
    ],
    [
      kernels.cubaLifStep({
        state: zeros('cuba', 3 * neurons),
        decays: filled('decays', decays),
        spikeIndex: ring.spikeIndex,
        spikeIds: ring.spikeIds,
        spikeBits,
        batch,
        neurons,
        receptors: 2,
        period: 64,
        slots: 1,
        refractory: 0,
        origin: 0,
        reset: 0,
      }),
      neurons * 12,
      neurons,
      'neuron updates',
    ],
    [
      kernels.spikeCompact({ spikeBits: sparseBits, ...ring, batch, neurons, slots: 1, origin: 0 }),
      neurons / 8,
      neurons / 128,
      'spikes',
    ],
  ];
  const source = new Uint8Array(2 ** 27).fill(1);
  const target = new Uint8Array(2 ** 27);
  const seconds = await interleaved(quick ? 5 : 15, {
    copy: () => {
      const start = performance.now();
      target.set(source);
      return (performance.now() - start) / 1000;
    },
    ...Object.fromEntries(
      subjects.map(([call]) => {
        const list = [call];
        return [
          call.kernel.name,
          async () => {
            await device.run(list, { steps: 2 });
            const steps = 20;
            const start = performance.now();
            await device.run(list, { steps });
            return (performance.now() - start) / 1000 / steps;
          },
        ];
      }),
    ),
  });
  const limit = (2 * source.length) / median(seconds.copy);
  await device.close();
  table({
    title: `Kernels on one Wasm thread; memory copy in the same run: ${(limit / 1e9).toFixed(1)} GB/s read and written`,
    columns: ['kernel', 'µs', 'GB/s', 'of copy', 'operations/s', 'of what'],
    rows: subjects.map(([call, bytes, operations, what]) => {
      const time = median((seconds as Record<string, number[]>)[call.kernel.name]!);
      return [
        call.kernel.name,
        time * 1e6,
        bytes / time / 1e9,
        `${Math.round((100 * bytes) / time / limit)} %`,
        operations / time,
        what,
      ];
    }),
    note: `bytes that must move, caches not counted out: ${neurons} neurons, ${spikes} spikes of fan-out ${fanOut} (sparse) or ${posts} (dense)`,
  });
}
