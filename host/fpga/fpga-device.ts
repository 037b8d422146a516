/**
 * A `Device` whose silicon is a synapse machine: the RTL twin by default, or a board behind any link. It runs the kernel `runProgram`
 * and no other. Buffers live in the host's memory; programs and spikes are streamed to the machine when a list is run.
 */
import { TuttiError } from '../errors.js';
import { createArrayStorage } from '../device/array-storage.js';
import type { Device, KernelBody, KernelCall } from '../device/device.js';
import { createHostDevice, type HostBuffer } from '../device/host-device.js';
import { HEADER, PROGRAM_MAGIC } from '../snn/machine/program-file.js';
import { END_WORDS } from '../snn/machine/stream.js';
import { openBoard, type BoardJob, type BoardOptions } from './board.js';
import type { OpenMachineLink } from './machine-link.js';
import { checkSampleWords } from './sample-input.js';

export interface OpenFpgaOptions extends BoardOptions {
  readonly id: string;
  /** Bytes of host memory for buffers. */
  readonly memoryBudget: number;
  readonly signal?: AbortSignal | undefined;
}

const KERNEL = 'runProgram';

/** @throws what `openBoard` throws */
export async function openFpgaDevice(open: OpenMachineLink, options: OpenFpgaOptions): Promise<Device> {
  const { id, memoryBudget, ...boardOptions } = options;
  const board = await openBoard(open, boardOptions);
  const { machine, rtlVersion } = board.identity;
  const storage = createArrayStorage();
  const words = (buffer: HostBuffer): Uint32Array => new Uint32Array(storage.bytesAt(buffer.address, buffer.label));

  const check = (kernels: readonly KernelBody[]): void => {
    const other = kernels.find(({ name }) => name !== KERNEL);
    if (!other) return;
    throw new TuttiError(
      'KERNEL_UNSUPPORTED',
      `${id} cannot run kernel "${other.name}": a synapse machine runs "${KERNEL}" only; compile the network to a program`,
      { where: id, facts: { kernel: other.name, supported: [KERNEL] } },
    );
  };

  const jobOf = ({ kernel, buffers, scalars }: KernelCall, signal: AbortSignal | undefined): BoardJob => {
    const buffer = (name: string): Uint32Array =>
      words(buffers[kernel.buffers.findIndex((param) => param.name === name)] as HostBuffer);
    const scalar = (name: string): number => scalars[kernel.scalars.findIndex((param) => param.name === name)]!;
    const file = buffer('program');
    if (file[HEADER.magic] !== PROGRAM_MAGIC || file[HEADER.words]! > file.length) {
      throw new TuttiError('FILE_INVALID', `kernel ${KERNEL}: its buffer "program" holds no program`, { where: id });
    }
    const program = file.subarray(0, file[HEADER.words]);
    const [inputs, starts, outputs] = [buffer('inputs'), buffer('inputStart'), buffer('outputs')];
    const first = scalar('readFirst');
    const [batch, steps, longest] = [scalar('batch'), scalar('steps'), scalar('outputWords')];
    const samples = Array.from({ length: batch }, (_, b) => {
      const [from, until] = [starts[b]!, starts[b + 1]!];
      if (from > until || until > inputs.length) {
        throw new TuttiError(
          'KERNEL_ARGUMENT',
          `kernel ${KERNEL}: inputStart gives sample ${b} words ${from} .. ${until} of ${inputs.length}`,
          { where: `${KERNEL}.inputStart` },
        );
      }
      const sample = inputs.subarray(from, until);
      checkSampleWords(sample, {
        sample: b,
        steps,
        stretch: program[HEADER.stretch]!,
        maxSkew: program[HEADER.maxSkew]!,
      });
      return sample;
    });
    return {
      program,
      read: {
        first,
        count: Math.max(0, Math.min(scalar('readCount'), program[HEADER.neurons]! - first)),
        everyStep: scalar('everyStep') !== 0,
      },
      samples,
      longest,
      signal,
      onSample: (sample, given) => {
        const region = outputs.subarray(sample * longest, (sample + 1) * longest);
        region.set(given);
        region.fill(0, given.length);
      },
    };
  };

  const { device, lose } = createHostDevice({
    id,
    kind: 'fpga',
    memoryBudget,
    capabilities: {
      name: `synapse machine, ${machine.spus} SPUs at ${machine.ports} port${machine.ports > 1 ? 's' : ''} (${board.name})`,
      features: new Set(),
      threads: 1,
      subgroupSize: undefined,
      maxBufferBytes: 2 ** 31,
      maxWorkgroupInvocations: 1,
      maxWorkgroupBytes: 0,
      maxBuffersPerKernel: 16,
      software: board.simulated,
      notices: board.notices,
      machine,
      ...(rtlVersion === undefined ? {} : { rtlVersion }),
    },
    storage,
    executor: {
      ready: () => true,
      prepare: async (kernels, { onProgress } = {}) => {
        check(kernels);
        onProgress?.({ done: kernels.length, total: kernels.length, what: 'programs are loaded as they are run' });
      },
      async slice(calls, _firstStep, _steps, { signal }) {
        check(calls.map(({ kernel }) => kernel));
        try {
          for (const call of calls) {
            const job = jobOf(call, signal);
            // As the kernel's other bodies: where no end has room, nothing is put out.
            if (job.longest >= END_WORDS) await board.run(job);
          }
        } catch (error) {
          if (error instanceof TuttiError && error.code === 'DEVICE_LOST')
            lose(String(error.facts['reason'] ?? error.message));
          throw error;
        }
        return 1;
      },
      close: async () => {
        await board.close();
        storage.clear();
      },
    },
  });
  return device;
}
