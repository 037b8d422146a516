/** Builds the RTL with Debian's Verilator, and runs words through it. A build is kept in build/rtl, by a hash of all its sources. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { MachineConfig } from '../../host/snn/machine/config.js';
import { designFiles, machineParameters, sourceHash, TOP } from '../../rtl/sim/sources.js';

const HARNESS = 'test/rtl/machine-sim.cpp';

/** Path of the simulator of this machine, with assertions. @throws Error with the tools' output when the RTL does not build. */
export function verilate(machine: MachineConfig): string {
  const options = [
    ...['--cc', '--exe', '--build', '-j', '2', '-O3', '--assert', '--coverage-user', '--x-initial', 'unique', '-Wall'],
    ...['--top-module', TOP, '-Irtl', '-MAKEFLAGS', 'OPT_FAST=-O2'],
    ...machineParameters(machine).map(([name, value]) => `-G${name}=${value}`),
  ];
  const folder = join('build', 'rtl', sourceHash([HARNESS], options).slice(0, 16));
  const binary = resolve(folder, 'Vtutti_machine');
  if (existsSync(binary)) return binary;
  const staging = `${folder}-${process.pid}`;
  mkdirSync(staging, { recursive: true });
  try {
    const { status, stdout, stderr, error } = spawnSync(
      'verilator',
      [...options, '--Mdir', staging, ...designFiles(), resolve(HARNESS)],
      { encoding: 'utf8' },
    );
    if (error) throw new Error(`verilator cannot be run (${error.message}); install Debian's verilator and g++`);
    if (status !== 0) throw new Error(`verilator failed\n${stdout}\n${stderr}`);
    try {
      renameSync(staging, folder);
    } catch (problem) {
      // Another test has built the same meanwhile.
      if (!existsSync(binary)) throw problem;
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return binary;
}

export interface SimulateOptions {
  /** `end` words to wait for, default 1. */
  readonly ends?: number;
  /** Of 256 cycles, in how many no input word is offered, and no output word taken. */
  readonly stallIn?: number;
  readonly stallOut?: number;
  readonly seed?: number;
  readonly softResetAt?: number;
}

export interface Simulated {
  readonly words: Uint32Array;
  readonly cycles: number;
  readonly seconds: number;
  /** What the registers held at the end; those that held 0 are left out. */
  readonly registers: ReadonlyMap<number, number>;
  /** How often each `cover` of the design, by file and line, was met. */
  readonly covered: ReadonlyMap<string, number>;
}

/** @throws Error when an assertion failed or the words did not come */
export function simulate(binary: string, input: Uint32Array, options: SimulateOptions = {}): Simulated {
  const { ends = 1, stallIn = 0, stallOut = 0, seed = 1, softResetAt } = options;
  const numbers = ['--ends', ends, '--stall-in', stallIn, '--stall-out', stallOut, '--seed', seed].map(String);
  const reset = softResetAt === undefined ? [] : ['--soft-reset-at', String(softResetAt)];
  const coverage = join(dirname(binary), `coverage-${process.pid}.dat`);
  const { status, stdout, stderr, signal } = spawnSync(binary, [...numbers, ...reset, '--registers'], {
    input: new Uint8Array(input.buffer, input.byteOffset, input.byteLength),
    maxBuffer: 1 << 28,
    env: { ...process.env, TUTTI_COVERAGE: coverage },
  });
  const said = stderr.toString();
  if (status !== 0)
    throw new Error(`the simulator ended with ${status ?? signal}\n${stdout.toString().slice(0, 2000)}\n${said}`);
  const figure = /cycles (\d+) seconds ([\d.]+)/.exec(said)!;
  const covered = new Map<string, number>();
  // Lines of '<key><value>...' and a count, with control characters 1 and 2 before keys and values.
  const points = readFileSync(coverage, 'utf8').replaceAll('\u0001', ' ').replaceAll('\u0002', '=');
  for (const [, file, line, times] of points.matchAll(/ f=(.*?) l=(\d+) .* (\d+)$/gm))
    covered.set(`${file}:${line}`, (covered.get(`${file}:${line}`) ?? 0) + Number(times));
  rmSync(coverage);
  const registers = [...said.matchAll(/register ([0-9a-f]+) ([0-9a-f]+)/g)];
  return {
    words: new Uint32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length)),
    cycles: Number(figure[1]),
    seconds: Number(figure[2]),
    covered,
    registers: new Map(registers.map(([, address, value]) => [parseInt(address!, 16), parseInt(value!, 16)])),
  };
}
