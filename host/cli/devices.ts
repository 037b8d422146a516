/** `tutti devices`: what this machine offers, and why something is not available. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { DeviceReport } from '../device/discover.js';

export function register(program: Command): void {
  const command = program
    .command('devices')
    .description('show what this machine offers, and why something is not available')
    .option('--json', 'print one JSON object instead of a table')
    .action(async ({ json }: { json?: boolean }) => {
      const { describeDevices } = await import('../device/discover.js');
      const devices = await describeDevices();
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
  for (const { kind, notices } of available)
    for (const notice of notices) lines.push(`${pc.yellow('note')}  ${kind}: ${notice}`);
  for (const { kind, why } of devices.filter((device) => !device.available))
    lines.push(`${pc.red('missing')}  ${kind}: ${why}`);
  return lines.join('\n');
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
