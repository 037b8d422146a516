/** `--machine spus=8,ports=2`: the default machine with some of its numbers changed. */
import { TuttiError } from '../../errors.js';
import { checkMachine, DEFAULT_MACHINE, MACHINE_FIELDS, type MachineConfig } from '../../snn/machine/config.js';

export const MACHINE_OPTION = [
  '--machine <changes>',
  `numbers of the machine that differ from the default, as spus=8,ports=2 (${MACHINE_FIELDS.join(', ')})`,
] as const;

/** @throws TuttiError OPTION_INVALID naming the field. */
export function parseMachine(changes: string | undefined): MachineConfig {
  const machine: Record<string, number> = { ...DEFAULT_MACHINE };
  for (const change of changes?.split(',') ?? []) {
    const [field = '', value = ''] = change.split('=');
    if (!(field in machine)) {
      throw new TuttiError(
        'OPTION_INVALID',
        `--machine has no number "${field}"; it has ${MACHINE_FIELDS.join(', ')}`,
        {
          where: '--machine',
        },
      );
    }
    machine[field] = value.trim() === '' ? NaN : Number(value);
  }
  return checkMachine(machine as unknown as MachineConfig, '--machine');
}

/** The numbers that differ from the default, as the option is written; 'default' when none does. */
export function machineText(machine: MachineConfig): string {
  const changed = MACHINE_FIELDS.filter((field) => machine[field] !== DEFAULT_MACHINE[field]);
  return changed.length === 0 ? 'default' : changed.map((field) => `${field}=${machine[field]}`).join(',');
}
