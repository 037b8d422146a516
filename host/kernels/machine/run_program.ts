/**
 * Executes a program of the synapse machine on a batch of samples, words in and words out as from the hardware, to the bit; only the
 * cycles in the `end` words are 0. A device of kind 'fpga' runs this kernel and no other.
 */
import source from '../../../gpu-kernels/machine/run_program.wgsl';
import { HEADER } from '../../snn/machine/program-file.js';
import { END_WORDS } from '../../snn/machine/stream.js';
import { defineKernel } from '../kernel.js';
import { interpretProgram } from './interpret_program.js';
import { machineModule } from './module.js';
import { TABLES } from './program_tables.js';

/**
 * A bit of the status that no machine sets: the sample put out more words than `outputWords`. The `end` is then in the region's last words, and
 * those that would have been at its place or behind it are missing.
 */
export const OUTPUT_CUT = 8;

export const runProgram = defineKernel({
  name: 'runProgram',
  buffers: {
    /** The words of `encodeProgram`. */
    program: ['u32', 'read'],
    /** What `programTables` derives from them. */
    tables: ['u32', 'read'],
    /** Input words of all samples, each from its `begin`. */
    inputs: ['u32', 'read'],
    /** [batch + 1] into `inputs`. */
    inputStart: ['u32', 'read'],
    /** [batch][outputWords]: what the machine puts out, then zeros. */
    outputs: ['u32', 'read-write'],
    /** [batch][stateWords]: scratch, all 0 before and after. */
    state: ['i32', 'read-write'],
  },
  scalars: {
    batch: 'u32',
    /** Network steps of every sample. */
    steps: 'u32',
    outputWords: 'u32',
    /** Neuron ids whose potentials are put out at the end, and after every machine step if `everyStep` is 1. */
    readFirst: 'u32',
    readCount: 'u32',
    everyStep: 'u32',
    stateWords: 'u32',
  },
  elements: (s) => ({
    program: HEADER.end,
    tables: TABLES.end,
    inputs: 1,
    inputStart: s.batch + 1,
    outputs: s.batch * Math.max(END_WORDS, s.outputWords),
    state: s.batch * s.stateWords,
  }),
  oracle({ program, inputs, inputStart, outputs, batch, steps, outputWords, readFirst, readCount, everyStep }) {
    if (outputWords < END_WORDS) return;
    for (let b = 0; b < batch; b++) {
      const words = inputs.subarray(inputStart[b], inputStart[b + 1]);
      const out = interpretProgram(program, words, { steps, readFirst, readCount, everyStep: everyStep !== 0 });
      const end = out.splice(-END_WORDS);
      const cut = outputWords - END_WORDS;
      if (out.length > cut) {
        out.length = cut;
        end[0] = (end[0]! | (OUTPUT_CUT << 16)) >>> 0;
      }
      const region = outputs.subarray(b * outputWords, (b + 1) * outputWords).fill(0);
      region.set([...out, ...end]);
    }
  },
  wasm: machineModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s) => [1, s.batch, 1],
  workgroupSize: 128,
});
