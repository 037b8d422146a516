/** What the machine takes of a Xilinx 7-series part, by Yosys: synthesis and mapping, no place and route. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Resources } from '../../host/fpga/resources.js';
import type { MachineConfig } from '../../host/snn/machine/config.js';
import { designFiles, machineParameters, runTool, TOP } from '../sim/sources.js';

export interface Synthesised extends Resources {
  /** Of Yosys' process. */
  readonly seconds: number;
  /** Cells by type, as Yosys counts them. */
  readonly cells: Readonly<Record<string, number>>;
}

/**
 * LUTs of a cell. Yosys neither merges two small functions into one LUT6 nor moves inverters into their loads, as Xilinx' tools do, so this
 * is an upper estimate.
 */
const LUTS: Readonly<Record<string, number>> = {
  ...{ LUT1: 1, LUT2: 1, LUT3: 1, LUT4: 1, LUT5: 1, LUT6: 1, INV: 1 },
  ...{ SRL16E: 1, SRLC16E: 1, SRLC32E: 1 },
  ...{ RAM32X1S: 1, RAM64X1S: 1, RAM128X1S: 2, RAM256X1S: 4 },
  ...{ RAM32X1D: 2, RAM64X1D: 2, RAM128X1D: 4, RAM32M: 4, RAM64M: 4 },
};
const LUT_MEMORY = /^(RAM\d|SRL)/;
const FLIP_FLOPS = ['FDRE', 'FDSE', 'FDCE', 'FDPE', 'LDCE', 'LDPE'] as const;
/** Cells that take nothing that is counted here. */
const FREE = ['CARRY4', 'MUXF7', 'MUXF8', 'BUFG'] as const;

/** @throws Error for a cell that has no place in the counts */
export function countResources(cells: Readonly<Record<string, number>>): Resources {
  let [luts, lutMemory, flipFlops, blockRams, dsps] = [0, 0, 0, 0, 0];
  for (const [cell, count] of Object.entries(cells)) {
    const each = LUTS[cell];
    if (each !== undefined) {
      luts += each * count;
      if (LUT_MEMORY.test(cell)) lutMemory += each * count;
    } else if ((FLIP_FLOPS as readonly string[]).includes(cell)) flipFlops += count;
    else if (cell === 'RAMB36E1') blockRams += count;
    else if (cell === 'RAMB18E1') blockRams += count / 2;
    else if (cell === 'DSP48E1') dsps += count;
    else if (!(FREE as readonly string[]).includes(cell))
      throw new Error(`Yosys made ${count} cells ${cell}, which count as nothing here`);
  }
  return { luts, lutMemory, flipFlops, blockRams, dsps };
}

/** @throws Error with Yosys' output when it fails, or how to install it */
export async function synthesise(machine: MachineConfig): Promise<Synthesised> {
  const folder = join('build', 'rtl', `synth-${process.pid}-${counter++}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    const start = performance.now();
    const statistics = join(folder, 'stat.json');
    await runTool('yosys', [
      '-q',
      '-p',
      [
        `read_verilog -sv -DSYNTHESIS -Irtl ${designFiles().join(' ')}`,
        ...machineParameters(machine).map(([name, value]) => `chparam -set ${name} ${value} ${TOP}`),
        `synth_xilinx -family xc7 -top ${TOP} -flatten -noiopad`,
        'check -assert',
        `tee -q -o ${statistics} stat -json`,
      ].join('; '),
    ]);
    const seconds = (performance.now() - start) / 1000;
    const { design } = JSON.parse(readFileSync(statistics, 'utf8')) as {
      design: { num_cells_by_type: Record<string, number> };
    };
    const cells = design.num_cells_by_type;
    return { ...countResources(cells), seconds, cells };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

let counter = 0;
