/** `tutti snn`: networks and programs of the synapse machine. */
import type { Command } from 'commander';
import * as compile from './snn/compile.js';
import * as info from './snn/info.js';
import * as quantise from './snn/quantise.js';
import * as rtl from './snn/rtl.js';
import * as run from './snn/run.js';

export function register(program: Command): void {
  const group = program.command('snn').description('spiking networks: look, compile, run, quantise, export hardware');
  for (const command of [info, compile, run, quantise, rtl]) command.register(group);
}
