/** WGSL variants of the kernels that add up over a workgroup, on the GPU that is there: with subgroups and shader-f16 where it has them, and without. */
import { createWebGpuDevice, type Device } from '../../../host/index.js';
import type { KernelBody } from '../../../host/device/device.js';
import { kvBlockWords, type KvFormat } from '../../../host/kernels/kv/index.js';
import * as kv from '../../../host/kernels/kv/index.js';
import * as tensor from '../../../host/kernels/tensor/index.js';
import { interleaved, median, type BenchContext, type Cell } from '../../report.js';

interface Job {
  readonly name: string;
  readonly kernel: KernelBody;
  readonly scalars: readonly number[];
}

const matmul = (name: string, kernel: KernelBody, rows: number, inner: number, outer: number): Job => ({
  name: `${name}, ${rows} x ${inner} x ${outer}`,
  kernel,
  scalars: [rows, inner, outer, 0],
});

/** 12 heads of 64, blocks of 16 tokens, one sequence. */
const attend = (format: KvFormat, kernel: KernelBody, context: number): Job => ({
  name: `attend ${format}, context ${context}`,
  kernel,
  scalars: [1, 12, 12, 64, 16, context / 16, 0, 0.125, 0],
});

const JOBS: readonly Job[] = [
  matmul('matmulF32', tensor.matmulF32.body, 1, 768, 2048),
  matmul('matmulF16', tensor.matmulF16.body, 1, 768, 2048),
  matmul('matmulF16', tensor.matmulF16.body, 16, 768, 2048),
  matmul('matmulQ8', tensor.matmulQ8.body, 1, 768, 2048),
  matmul('matmulQ8', tensor.matmulQ8.body, 16, 768, 2048),
  matmul('matmulQ4K', tensor.matmulQ4K.body, 1, 768, 2048),
  { name: 'rmsNormF32, 16 x 768', kernel: tensor.rmsNormF32.body, scalars: [16, 768, 1e-5] },
  { name: 'argmaxRows, 16 x 32000', kernel: tensor.argmaxRows.body, scalars: [16, 32_000] },
  attend('f32', kv.attendF32.body, 1024),
  attend('f16', kv.attendF16.body, 1024),
  attend('int8', kv.attendInt8.body, 1024),
  attend('int4', kv.attendInt4.body, 1024),
];

/** What one submit should take, in ms, and the calls that it has at most. */
const SUBMIT = 60;
const MOST_CALLS = 256;

interface Prepared {
  /** One submit of so many calls. @returns microseconds a call */
  once(calls: number): Promise<number>;
  release(): void;
}

function prepare(device: Device, job: Job): Prepared {
  const { kernel, scalars } = job;
  const counts = [...kernel.elements(scalars)];
  const isAttention = kernel.name.startsWith('attend');
  // All blocks of a table are one block, and the token is its sequence's last.
  const [heads, headSize, blockSize, width] = [scalars[2]!, scalars[3]!, scalars[4]!, scalars[5]!];
  if (isAttention) {
    const format = kernel.name.slice('attend'.length).toLowerCase() as KvFormat;
    counts[2] = kvBlockWords(format, { kvHeads: heads, headSize, blockSize });
  }
  const buffers = kernel.buffers.map(({ name, type }, i) => {
    const buffer = device.allocate(4 * counts[i]!, name);
    if (type === 'f32')
      device.write(
        buffer,
        new Float32Array(counts[i]!).map((_, k) => Math.sin(k)),
      );
    if (name === 'positions') device.write(buffer, new Uint32Array([blockSize * width - 1]));
    return buffer;
  });
  const call = { kernel, buffers, scalars };
  return {
    async once(calls) {
      const begun = performance.now();
      await device.run([call], { steps: calls });
      return (1000 * (performance.now() - begun)) / calls;
    },
    release: () => buffers.forEach((buffer) => buffer.release()),
  };
}

export async function benchVariants({ table, say, quick }: BenchContext): Promise<void> {
  const whole = await createWebGpuDevice({ id: 'as it is' });
  const offered = ['subgroups', 'shader-f16'].filter((feature) => whole.capabilities.features.has(feature));
  const plain = await createWebGpuDevice({ id: 'plain', disableFeatures: ['subgroups', 'shader-f16'] });
  const rows: Cell[][] = [];
  try {
    for (const job of JOBS) {
      say(job.name);
      const [a, b] = [prepare(whole, job), prepare(plain, job)];
      await a.once(1);
      await b.once(1);
      const calls = Math.max(1, Math.min(MOST_CALLS, Math.floor((1000 * SUBMIT) / (await b.once(1)))));
      const values = await interleaved(quick ? 3 : 9, { whole: () => a.once(calls), plain: () => b.once(calls) });
      const [mine, other] = [median(values['whole']), median(values['plain'])];
      rows.push([job.name, mine, other, other / mine]);
      a.release();
      b.release();
    }
    table({
      title: `WGSL variants on ${whole.capabilities.name}`,
      columns: ['', `${offered.join(', ') || 'nothing'}: µs`, 'plain: µs', 'gain'],
      rows,
      note: `Medians of interleaved submits of many calls; the device ${offered.length === 2 ? 'has both features' : `has ${offered.join() || 'neither feature'} only`}.`,
    });
  } finally {
    await whole.close();
    await plain.close();
  }
}
