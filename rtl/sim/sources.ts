/** The RTL as the tools take it: files, parameters, and a hash that tells whether something made from it is stale. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MACHINE_FIELDS, type MachineConfig } from '../../host/snn/machine/config.js';

export const TOP = 'tutti_machine';

/** Design files, relative to the root of the repository, where all these programs run. */
export function designFiles(): string[] {
  return filesOf('rtl', '.sv');
}

export function filesOf(folder: string, extension: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(extension))
    .sort()
    .map((name) => join(folder, name));
}

/** `spus` is the parameter SPUS, `weightBits` WEIGHT_BITS. */
export function parameterName(field: keyof MachineConfig): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** The machine's numbers by the names of the top module's parameters. */
export function machineParameters(machine: MachineConfig): readonly (readonly [name: string, value: number])[] {
  return MACHINE_FIELDS.map((field) => [parameterName(field), machine[field]] as const);
}

/**
 * Of the design, of `others` (harness files) and of `options` (configuration, flags of tools). Comments and white space do not count, nor do
 * assertions unless they are asked for.
 */
export function sourceHash(
  others: readonly string[],
  options: unknown,
  { assertions = false }: { readonly assertions?: boolean } = {},
): string {
  const hash = createHash('sha256').update(JSON.stringify(options));
  for (const file of [...designFiles(), ...filesOf('rtl/generated', '.svh'), ...others]) {
    const code = readFileSync(file, 'utf8')
      .replace(assertions ? /$^/ : /`ifndef SYNTHESIS\n[\s\S]*?\n`endif/g, ' ')
      .replace(/\/\*[\s\S]*?\*\//g, ' ')
      .replace(/\/\/.*$/gm, '')
      .replace(/\s+/g, ' ');
    hash.update(`\0${file}\0${code}`);
  }
  return hash.digest('hex');
}

/** Runs a program of the flow and returns what it printed. @throws Error with its output when it fails, or how to install it */
export async function runTool(
  command: string,
  args: readonly string[],
  { input, debianPackage = command }: { readonly input?: string; readonly debianPackage?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    const take = (data: Buffer): void => void (output += data.toString());
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.stdin.on('error', () => {}); // it ended before it had read everything; its exit code says why
    child.stdin.end(input ?? '');
    child.on('error', (error) =>
      reject(new Error(`${command} cannot be run (${error.message}); apt-get install ${debianPackage}`)),
    );
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output);
      const tail = output.trimEnd().split('\n').slice(-40).join('\n');
      reject(new Error(`${tail}\n${command} failed (${signal ?? `exit code ${code}`})`));
    });
  });
}
