/** The machine's numbers by the names of the RTL's parameters: `spus` is SPUS, `weightBits` WEIGHT_BITS. */
import { MACHINE_FIELDS, type MachineConfig } from '../snn/machine/config.js';

export function parameterName(field: keyof MachineConfig): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

export function machineParameters(machine: MachineConfig): readonly (readonly [name: string, value: number])[] {
  return MACHINE_FIELDS.map((field) => [parameterName(field), machine[field]] as const);
}
