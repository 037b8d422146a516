import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import * as esbuild from 'esbuild';
import type { DeviceReport } from '../device/discover.js';
import { TuttiError } from '../errors.js';
import { deviceTable } from './devices.js';
import { runCli } from './program.js';

const root = resolve(import.meta.dirname, '../..');

async function cli(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(argv, { out: (text) => void (out += text), err: (text) => void (err += text) });
  return { code, out, err };
}

describe('the command line', () => {
  it('prints version and help', async () => {
    const version = await cli('--version');
    expect(version).toMatchObject({ code: 0, err: '' });
    expect(version.out).toMatch(/^\d+\.\d+\.\d+\n$/);
    const help = await cli('--help');
    expect(help.code).toBe(0);
    expect(help.out).toMatch(/Usage: tutti[\s\S]*devices/);
    expect((await cli('devices', '--help')).out).toContain('--json');
  });

  it('answers wrong usage with a clear message and 2', async () => {
    for (const [argv, message] of [
      [['devicess'], /unknown command 'devicess'[\s\S]*Did you mean devices/],
      [['devices', '--jsn'], /unknown option '--jsn'[\s\S]*Did you mean --json/],
      [['--nonsense'], /unknown option '--nonsense'/],
      [['devices', 'surplus'], /too many arguments/],
      [[], /Usage: tutti/],
    ] as const) {
      const { code, out, err } = await cli(...argv);
      expect(code).toBe(2);
      expect(err).toMatch(message);
      expect(out).toBe('');
    }
  });
});

describe('a command that fails', () => {
  const failing = async (error: Error): Promise<{ code: number; err: string }> => {
    let err = '';
    const command = {
      register: (program: Command) => void program.command('fail').action(() => Promise.reject(error)),
    };
    const code = await runCli(['fail'], { out: () => {}, err: (text) => void (err += text) }, [command]);
    return { code, err };
  };
  const why = new TuttiError('MEMORY_REFUSED', 'no room; use a smaller batch', { cause: new Error('underneath') });
  afterEach(() => vi.unstubAllEnvs());

  it('says what was wrong and what to do, without a stack, and answers 1', async () => {
    expect(await failing(why)).toEqual({ code: 1, err: 'tutti: no room; use a smaller batch\n' });
    const { code, err } = await failing(new RangeError('a bug'));
    expect(code).toBe(1);
    expect(err).toMatch(/unexpected error: a bug\n.*TUTTI_DEBUG/);
    expect(err).not.toContain('program.test.ts');
  });

  it('shows the stack and the causes when TUTTI_DEBUG is set', async () => {
    vi.stubEnv('TUTTI_DEBUG', '1');
    const { err } = await failing(why);
    expect(err).toContain('program.test.ts');
    expect(err).toContain('caused by Error: underneath');
  });
});

describe('tutti devices', () => {
  it('--json prints the report as one object', async () => {
    const { code, out, err } = await cli('devices', '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { devices } = JSON.parse(out) as { devices: DeviceReport[] };
    expect(devices.map((device) => device.kind)).toEqual(['wasm', 'webgpu', 'fpga']);
  });

  it('prints a table, notices, and what is missing and why', () => {
    const table = deviceTable([
      {
        kind: 'wasm',
        available: true,
        name: 'WebAssembly SIMD, 2 threads',
        threads: 2,
        features: ['simd'],
        memoryBudget: 2 ** 30,
        maxBufferBytes: 1.5 * 2 ** 20,
        software: false,
        notices: ['be aware'],
      },
      {
        kind: 'webgpu',
        available: true,
        name: 'Some GPU',
        threads: 1,
        features: ['subgroups', 'shader-f16'],
        subgroupSize: { min: 8, max: 32 },
        memoryBudget: 2 ** 31,
        maxBufferBytes: 900,
        software: true,
        notices: [],
      },
      { kind: 'fpga', available: false, why: 'no board; plug one in', notices: [] },
    ]);
    // eslint-disable-next-line no-control-regex
    expect(table.replace(/\u001b\[\d+m/g, '').split('\n')).toEqual([
      'kind    device                       threads  subgroups  f16  memory  largest buffer  software',
      'wasm    WebAssembly SIMD, 2 threads  2        no         no   1 GiB   1.5 MiB         -',
      'webgpu  Some GPU                     -        8-32       yes  2 GiB   900 B           yes',
      'note  wasm: be aware',
      'missing  fpga: no board; plug one in',
    ]);
  });
});

describe('the built command', () => {
  let folder: string;
  let script: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tutti-cli-'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module","version":"7.8.9"}');
    mkdirSync(join(folder, 'dist'));
    script = join(folder, 'dist/cli/cli.js');
    await esbuild.build({
      entryPoints: { cli: join(root, 'host/cli/main.ts') },
      outdir: join(folder, 'dist/cli'),
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'es2022',
      packages: 'external',
      loader: { '.wgsl': 'text', '.wasm': 'binary' },
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const execute = (
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ code: unknown; out: string; err: string }> =>
    new Promise((done) => {
      execFile(
        process.execPath,
        [script, ...argv],
        { env: { ...process.env, ...env }, timeout: 50_000 },
        (error, out, err) => done({ code: error ? error.code : 0, out, err }),
      );
    });

  it('knows its version', async () => {
    expect(await execute(['--version'])).toEqual({ code: 0, out: '7.8.9\n', err: '' });
  });

  it('lists the devices and exits by itself', async () => {
    const { code, out } = await execute(['devices'], { NO_COLOR: '1' });
    expect(code).toBe(0);
    expect(out).toMatch(/^kind +device/);
    expect(out).toMatch(/^wasm +WebAssembly SIMD/m);
    expect(out).toMatch(/^webgpu +\S/m);
    expect(out).toMatch(/^fpga +synapse machine, 16 SPUs at 2 ports \(RTL twin\)/m);
    expect(out).toMatch(/^machine +fpga twin: spus 16, ports 2,/m);
  });

  it('says why WebGPU is missing', async () => {
    const nowhere = '/nowhere/no_driver.json';
    const { code, out } = await execute(['devices'], {
      NO_COLOR: '1',
      VK_DRIVER_FILES: nowhere,
      VK_ICD_FILENAMES: nowhere,
    });
    expect(code).toBe(0);
    expect(out).toMatch(/^missing +webgpu: .*no_driver\.json/m);
  });

  it('exits with 2 for wrong usage', async () => {
    expect(await execute(['nothing'])).toMatchObject({
      code: 2,
      err: expect.stringContaining("unknown command 'nothing'"),
    });
  });
});
