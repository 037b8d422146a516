/** `tutti simulate`: schedulers in virtual time. */
import type { Command } from 'commander';
import * as maestro from './simulate/maestro.js';

export function register(program: Command): void {
  const group = program.command('simulate').description('try schedulers in virtual time, on traces and generated work');
  for (const command of [maestro]) command.register(group);
}
