/** `tutti devices`: what this machine offers, and why something is not available. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { DeviceReport } from '../device/discover.js';
import type { MachineConfig } from '../snn/machine/config.js';

export function register(program: Command): void {
  const command = program
    .command('devices')
    .description('show what this machine offers, and why something is not available')
    .option('--json', 'print one JSON object instead of a table')
    .option(
      '--board <address...>',
      'look for boards there too, besides those in TUTTI_FPGA (addresses, separated by commas)',
    )
    .action(async ({ json, board = [] }: { json?: boolean; board?: readonly string[] }) => {
      const { describeDevices } = await import('../device/discover.js');
      const { addressesOf } = await import('../fpga/address.js');
      const devices = await describeDevices({ boards: [...addressesOf(process.env['TUTTI_FPGA']), ...board] });
      const text = json ? JSON.stringify({ devices }, null, 2) : deviceTable(devices);
      command.configureOutput().writeOut?.(`${text}\n`);
    });
}

type Column = readonly [heading: string, cell: (device: DeviceReport) => string];

const COLUMNS: readonly Column[] = [
  ['kind', (d) => d.kind],
  ['device', (d) => d.name ?? ''],
  ['threads', (d) => (d.kind === 'wasm' ? String(d.threads) : '-')],
  ['subgroups', ({ subgroupSize: s }) => (s ? (s.min === s.max ? String(s.min) : `${s.min}-${s.max}`) : 'no')],
  ['f16', (d) => (d.features?.includes('shader-f16') ? 'yes' : 'no')],
  ['memory', (d) => bytes(d.memoryBudget ?? 0)],
  ['largest buffer', (d) => bytes(d.maxBufferBytes ?? 0)],
  ['software', (d) => (d.kind === 'webgpu' ? (d.software ? 'yes' : 'no') : '-')],
];

/** A table of the devices that there are, then notices, then what is missing and why. */
export function deviceTable(devices: readonly DeviceReport[]): string {
  const available = devices.filter((device) => device.available);
  const lines: string[] = [];
  if (available.length > 0) {
    const rows = [
      COLUMNS.map(([heading]) => heading),
      ...available.map((device) => COLUMNS.map(([, cell]) => cell(device))),
    ];
    const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
    rows.forEach((row, r) => {
      const line = row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd();
      lines.push(r === 0 ? pc.dim(line) : line);
    });
  }
  for (const device of available) {
    if (device.machine) lines.push(`${pc.dim('machine')}  ${called(device)}: ${machineText(device.machine)}`);
    for (const notice of device.notices) lines.push(`${pc.yellow('note')}  ${called(device)}: ${notice}`);
  }
  for (const device of devices.filter((each) => !each.available))
    lines.push(`${pc.red('missing')}  ${called(device)}: ${device.why}`);
  return lines.join('\n');
}

const called = ({ kind, address }: DeviceReport): string => (address === undefined ? kind : `${kind} ${address}`);

/** "spus 16, ports 2, ..." */
function machineText(machine: MachineConfig): string {
  return Object.entries(machine)
    .map(([field, value]) => `${field} ${value}`)
    .join(', ');
}

function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit++;
  }
  return `${Number(count.toFixed(1))} ${units[unit]}`;
}
