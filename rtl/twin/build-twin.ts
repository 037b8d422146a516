/**
 * Compiles the RTL to Wasm: Verilator, then Debian's clang for wasm32-wasi. The runtime's needs that Wasm cannot meet (threads, a
 * system) are met by single_threaded/; the result imports nothing.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineConfig } from '../../host/snn/machine/config.js';
import { FAST } from '../sim/build-simulator.js';
import { designFiles, filesOf, machineParameters, runTool, sourceHash, TOP } from '../sim/sources.js';

/** Where the twin of the default machine is committed, and what it was made from. */
export const TWIN = 'rtl/twin/tutti_machine.wasm';
export const TWIN_SOURCES = 'rtl/twin/tutti_machine.json';

/** Debian packages of the flow. */
export const PACKAGES = 'verilator clang-14 lld-14 wasi-libc libc++-14-dev-wasm32 libclang-rt-14-dev-wasm32';

const INCLUDE = '/usr/share/verilator/include';
const COMPILE = [
  ...['--target=wasm32-wasi', '-std=c++17', '-fno-exceptions', '-fno-rtti', '-mbulk-memory', '-Os'],
  ...['-ffunction-sections', '-fdata-sections', '-DNDEBUG', '-DVL_IGNORE_UNKNOWN_ARCH'],
  // One thread; clang 14 has no thread-local storage for this target without more ado.
  '-Dthread_local=',
  ...['-isystem', 'rtl/twin/single_threaded', `-I${INCLUDE}`, `-I${INCLUDE}/vltstd`, '-Irtl/sim'],
] as const;
const LINK = ['--target=wasm32-wasi', '-mexec-model=reactor', '-Wl,--gc-sections,--strip-all,-O3'] as const;

/** Changes whenever the twin's behaviour could. */
export function twinHash(machine: MachineConfig): string {
  const harness = ['rtl/sim/machine.h', 'rtl/twin/twin.cpp'];
  const runtime = readdirSync('rtl/twin/single_threaded')
    .sort()
    .map((name) => join('rtl/twin/single_threaded', name));
  return sourceHash([...harness, ...runtime], [FAST, COMPILE, LINK, machineParameters(machine)]);
}

/** The module's bytes. @throws Error with the tools' output when something does not build, or what to install */
export async function buildTwin(machine: MachineConfig): Promise<Uint8Array<ArrayBuffer>> {
  const folder = join('build', 'rtl', `twin-${process.pid}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    const parameters = machineParameters(machine).map(([name, value]) => `-G${name}=${value}`);
    const wanted = { debianPackage: PACKAGES };
    await runTool(
      'verilator',
      [...FAST, '-Wno-fatal', '--top-module', TOP, '-Irtl', '--Mdir', folder, ...parameters, ...designFiles()],
      wanted,
    );
    // One compilation unit: calls between its parts are inlined.
    const parts = filesOf(folder, '.cpp').map((file) => `#include "${file.slice(folder.length + 1)}"`);
    writeFileSync(join(folder, 'whole.cpp'), `${parts.join('\n')}\n`);
    const units = {
      whole: join(folder, 'whole.cpp'),
      twin: 'rtl/twin/twin.cpp',
      system: 'rtl/twin/single_threaded/system.cpp',
      verilated: `${INCLUDE}/verilated.cpp`,
      verilated_threads: `${INCLUDE}/verilated_threads.cpp`,
    };
    for (const [name, file] of Object.entries(units))
      await runTool('clang++-14', [...COMPILE, `-I${folder}`, '-c', file, '-o', join(folder, `${name}.o`)], wanted);
    const objects = Object.keys(units).map((name) => join(folder, `${name}.o`));
    await runTool('clang++-14', [...LINK, ...objects, '-o', join(folder, 'twin.wasm')], wanted);
    return new Uint8Array(readFileSync(join(folder, 'twin.wasm')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
