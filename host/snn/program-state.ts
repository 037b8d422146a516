/** A program on one device: its words, the tables derived from them, and room for the samples that are run at a time. */
import type { Device, DeviceBuffer, KernelBody, KernelCall, LongCallOptions } from '../device/device.js';
import { OUTPUT_CUT, programTables, runProgram } from '../kernels/machine/index.js';
import { createBufferScope } from './buffer-scope.js';
import type { ReadRequest } from './machine/load-words.js';
import { findEnd } from './machine/output-words.js';
import { encodeProgram } from './machine/program-file.js';
import type { Program } from './machine/program.js';
import { END_WORDS } from './machine/stream.js';

/** Samples that are run together. */
export interface SampleBatch {
  readonly samples: number;
  readonly steps: number;
  /** Input words of all samples. */
  readonly inputs: Uint32Array;
  /** [samples + 1] into `inputs`. */
  readonly inputStart: Uint32Array;
  /** Words of output that a sample has room for. */
  readonly outputWords: number;
  readonly read: ReadRequest;
}

export interface ProgramState {
  readonly device: Device;
  readonly program: Program;
  readonly kernels: readonly KernelBody[];
  /** Bytes on the device for each sample, its input words not counted. */
  sampleBytes(outputWords: number): number;
  /** Words of spikes that a sample is given room for: mostly far less than it could put out. Grown by what did not fit. */
  spikeWords: number;
  /** Samples that a call should hold so that it takes about as long as a call should; learned from those before. */
  pace: number;
  /**
   * [samples][outputWords]. Undefined when a sample puts out more than that.
   * @throws what devices throw
   */
  execute(batch: SampleBatch, call: LongCallOptions): Promise<Uint32Array | undefined>;
  release(): void;
}

/** About how long one call may take: progress and abort are looked at between calls, and a page's own thread stands still meanwhile. */
const CALL_MS = 50;
const FIRST_PACE = 16;
const FIRST_SPIKE_WORDS = 256;

/** @throws TuttiError FILE_INVALID for a program that is not sound; MEMORY_REFUSED, LIMIT_EXCEEDED; nothing stays allocated then */
export function createProgramState(device: Device, program: Program): ProgramState {
  const file = encodeProgram(program);
  const tables = programTables(file);
  // A board has its own memories.
  const stateWords = device.kind === 'fpga' ? 0 : tables.stateWords;
  let calls: { readonly key: string; readonly list: readonly KernelCall[] } | undefined;
  const scope = createBufferScope(device, program.name, () => (calls = undefined));
  try {
    const words = scope.upload('program', file);
    const derived = scope.upload('program tables', tables.words);
    const held: { inputs?: DeviceBuffer; inputStart?: DeviceBuffer; outputs?: DeviceBuffer; state?: DeviceBuffer } = {};
    const grow = ({ samples, outputWords, ...batch }: SampleBatch): Required<typeof held> => {
      held.inputs = scope.grow(held.inputs, 'input words', batch.inputs.byteLength);
      held.inputStart = scope.grow(held.inputStart, 'input index', batch.inputStart.byteLength);
      held.outputs = scope.grow(held.outputs, 'output words', 4 * samples * outputWords);
      held.state = scope.grow(held.state, 'machine state', 4 * samples * stateWords);
      return held as Required<typeof held>;
    };
    const clear = (): void => {
      for (const part of ['inputs', 'inputStart', 'outputs', 'state'] as const) {
        if (held[part] !== undefined) scope.release(held[part]);
        delete held[part];
      }
      calls = undefined;
    };
    const fit = (batch: SampleBatch): Required<typeof held> => {
      try {
        return grow(batch);
      } catch {
        // Perhaps only not beside what was held for other samples.
        clear();
      }
      try {
        return grow(batch);
      } catch (error) {
        clear();
        throw error;
      }
    };
    const state: ProgramState = {
      device,
      program,
      kernels: [runProgram.body],
      spikeWords: FIRST_SPIKE_WORDS,
      pace: FIRST_PACE,
      sampleBytes: (outputWords) => 4 * (outputWords + stateWords + 1),
      async execute(batch, { signal }) {
        const { samples, steps, outputWords, read } = batch;
        const { inputs, inputStart, outputs, state: scratch } = fit(batch);
        const key = [samples, steps, outputWords, read.first, read.count, read.everyStep].join();
        if (calls?.key !== key) {
          const buffers = { program: words, tables: derived, inputs, inputStart, outputs, state: scratch };
          const scalars = {
            batch: samples,
            steps,
            outputWords,
            readFirst: read.first,
            readCount: read.count,
            stateWords,
          };
          calls = { key, list: [runProgram({ ...buffers, ...scalars, everyStep: Number(read.everyStep) })] };
        }
        device.write(inputs, batch.inputs);
        device.write(inputStart, batch.inputStart);
        const began = performance.now();
        // Asked for at once: devices take operations in order. Both are waited for, so that none is left to fail alone.
        const running = device.run(calls.list, signal === undefined ? {} : { signal });
        const reading = device.read(outputs, 0, 4 * samples * outputWords);
        const [ran, got] = await Promise.allSettled([running, reading]);
        if (ran.status === 'rejected') throw ran.reason;
        if (got.status === 'rejected') throw got.reason;
        const took = performance.now() - began;
        const wanted = took > 0 ? Math.round((samples * CALL_MS) / took) : Infinity;
        if (samples >= Math.min(state.pace, wanted)) state.pace = Math.max(1, Math.min(4 * samples, wanted));
        const put = new Uint32Array(got.value);
        for (let b = 0; b < samples; b++)
          if (isCut(put.subarray(b * outputWords, (b + 1) * outputWords))) return undefined;
        return put;
      },
      release: () => scope.releaseAll(),
    };
    return state;
  } catch (error) {
    scope.releaseAll();
    throw error;
  }
}

/** Only where the last words are an `end` can any be missing. */
function isCut(region: Uint32Array): boolean {
  const end = region.length - END_WORDS;
  if (((region[end]! >>> 16) & OUTPUT_CUT) === 0 || region[end]! >>> 30 !== 2) return false;
  return findEnd(region, 0) === end;
}
