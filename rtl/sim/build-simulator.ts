/** Builds the native simulator (main.cpp) of a machine with Debian's Verilator and g++. Kept in build/rtl by a hash of all its sources. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { MachineConfig } from '../../host/snn/machine/config.js';
import { designFiles, machineParameters, runTool, sourceHash, TOP } from './sources.js';

export interface SimulatorOptions {
  /** Can write a VCD with `--trace FILE`; a third slower even when it does not. */
  readonly trace?: boolean;
  /** Stops at the first assertion of the design that fails. */
  readonly assertions?: boolean;
}

/** Verilator's flags for something that is to be fast: without the design's assertions. */
export const FAST = ['--cc', '-O3', '--x-assign', 'fast', '--x-initial', 'fast', '-DSYNTHESIS'] as const;
const CHECKED = ['--cc', '-O3', '--x-initial', 'unique', '--assert'] as const;

/** Path of the program. @throws Error with the tools' output when something does not build, or what to install */
export async function buildSimulator(machine: MachineConfig, options: SimulatorOptions = {}): Promise<string> {
  const { trace = false, assertions = false } = options;
  const flags = [
    ...(assertions ? CHECKED : FAST),
    ...(trace ? ['--trace'] : []),
    ...machineParameters(machine).map(([name, value]) => `-G${name}=${value}`),
  ];
  const hash = sourceHash(['rtl/sim/machine.h', 'rtl/sim/main.cpp'], flags, { assertions });
  const folder = join('build', 'rtl', `simulator-${hash.slice(0, 16)}`);
  const program = resolve(folder, 'tutti-machine');
  if (existsSync(program)) return program;
  const staging = `${folder}-${process.pid}`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  try {
    await runTool('verilator', [
      ...flags,
      ...['--exe', '--build', '-j', String(Math.min(4, availableParallelism())), '-Wno-fatal'],
      ...['--top-module', TOP, '-Irtl', '--Mdir', staging, '-o', 'tutti-machine'],
      ...['-CFLAGS', `-I${resolve('rtl/sim')}`, '-MAKEFLAGS', 'OPT_FAST=-O2 OPT_SLOW=-O0 OPT_GLOBAL=-O1'],
      ...designFiles(),
      resolve('rtl/sim/main.cpp'),
    ]);
    renameSync(staging, folder);
  } catch (error) {
    // Somebody else may have built the same meanwhile.
    if (!existsSync(program)) throw error;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return program;
}
