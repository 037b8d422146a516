import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineNetwork, saveNetwork } from '../snn/index.js';
import { runCli } from './program.js';

const sparse = resolve(import.meta.dirname, '../../models/mnist/sparse.safetensors');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tutti-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function cli(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(['snn', ...argv], {
    out: (text) => void (out += stripVTControlCharacters(text)),
    err: (text) => void (err += stripVTControlCharacters(text)),
  });
  return { code, out, err };
}

async function json<T>(...argv: readonly string[]): Promise<T> {
  const { code, out, err } = await cli(...argv, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as T;
}

describe('tutti snn', () => {
  it('compiles the packaged network, and runs the program on the cycle model, Wasm and the RTL alike', async () => {
    const program = join(folder, 'digits.tutti');
    const compiled = await cli(
      ...['compile', sparse, '-o', program, '--svg', join(folder, 'digits.svg')],
      ...['--listing', join(folder, 'digits.txt')],
    );
    expect(compiled).toMatchObject({ code: 0, err: '' });
    expect(compiled.out).toMatch(/proved: each of the 19,998 synapses once/);
    expect(compiled.out).toMatch(/\d+ cycles a sample \(\d+\.\d\d µs at 100 MHz\)/);
    expect(readFileSync(join(folder, 'digits.svg'), 'utf8')).toMatch(/^<svg [\s\S]*SPU 15[\s\S]*<\/svg>\n$/);
    expect(readFileSync(join(folder, 'digits.txt'), 'utf8')).toMatch(/^program {4}mnist-sparse: 19998 synapses/);

    const info = await json<{ kind: string; synapses: number; memories: { used: number; of: number }[] }>(
      'info',
      program,
    );
    expect(info).toMatchObject({ kind: 'program', synapses: 19998 });
    expect(info.memories.every(({ used, of }) => used > 0 && used <= of)).toBe(true);

    const run = await json<{ agreement: boolean; places: { accuracy: number; cycles?: number }[] }>(
      ...['run', program, '--samples', '10', '--on', 'model,wasm,twin'],
    );
    expect(run.agreement).toBe(true);
    expect(run.places.map(({ accuracy }) => accuracy)).toEqual([1, 1, 1]);
    expect(run.places[0]!.cycles).toBe(run.places[2]!.cycles);
    expect(run.places[0]!.cycles).toBeGreaterThan(100);

    const rtl = await json<{ files: string[]; parameters: Record<string, number> }>(
      ...['rtl', program, '-o', join(folder, 'rtl')],
    );
    expect(rtl.parameters).toMatchObject({ SPUS: 16, WEIGHT_BITS: 8 });
    for (const file of ['machine_top.sv', 'program.hex', 'tutti_machine.sv', 'generated/register_map.svh'])
      expect(existsSync(join(folder, 'rtl', file)), file).toBe(true);
    expect(readFileSync(join(folder, 'rtl', 'program.hex'), 'utf8').split('\n').length).toBeGreaterThan(5000);
  });

  it('runs a network as it is, and shows what is in it', async () => {
    const info = await cli('info', sparse);
    expect(info.out).toMatch(/mnist-sparse: 19,998 synapses, fixed point/);
    const run = await cli('run', sparse, '--samples', '5');
    expect(run.out).toMatch(/5 samples, answered by "output"[\s\S]*wasm[\s\S]*100\.0 %/);
  });

  it('quantises a float network on spikes of a file', async () => {
    const network = join(folder, 'float.safetensors');
    const spikes = join(folder, 'spikes.json');
    const fixed = join(folder, 'fixed.safetensors');
    const float = defineNetwork({
      name: 'float',
      numeric: 'float32',
      dt: 1e-3,
      populations: [
        { name: 'in', model: 'input', size: 3 },
        { name: 'out', model: 'lif', size: 2, tau: 8e-3, threshold: 0.05 },
      ],
      projections: [{ from: 'in', to: 'out', kind: 'dense', weights: [1, 0.5, 0.25, 1, -0.5, 0.125] }],
    });
    writeFileSync(network, saveNetwork(float));
    writeFileSync(
      spikes,
      JSON.stringify({
        neurons: 3,
        samples: [
          [[0, 1], [2], [0]],
          [[1], [], [1, 2]],
        ],
      }),
    );
    const report = await json<{ populations: { name: string; fixedDecay: number }[] }>(
      ...['quantise', network, '-o', fixed, '--spikes', spikes],
    );
    expect(report.populations).toMatchObject([{ name: 'out', fixedDecay: 0.875 }]);
    expect((await cli('info', fixed)).out).toMatch(/fixed point/);
    expect((await cli('quantise', fixed, '-o', fixed, '--spikes', spikes)).err).toMatch(/is in fixed point already/);
  });

  it('says what is wrong with what it was given', async () => {
    const garbage = join(folder, 'garbage.bin');
    writeFileSync(garbage, 'not a network');
    for (const [argv, message] of [
      [['info', join(folder, 'absent')], /cannot be read: ENOENT/],
      [['info', garbage], /neither a network \(safetensors or NIR\) nor a program/],
      [['compile', sparse, '--machine', 'spus=12'], /--machine\.spus is 12; it must be a power of two in 1 \.\. 64/],
      [['compile', sparse, '--machine', 'cores=2'], /--machine has no number "cores"/],
      [['compile', sparse, '--machine', 'operations=100'], /does not fit the machine: operations of SPU \d+/],
      [['compile', sparse, '--strategy', 'best'], /strategy is "best"; choose/],
      [['run', sparse, '--on', 'moon'], /--on "moon" is no place/],
      [['run', sparse, '--digits', '--spikes', 'x'], /--digits and --spikes exclude each other/],
      [['run', sparse, '--samples', 'all'], /--samples must be a whole number, got "all"/],
      [['run', sparse, '--readout', 'nobody'], /--readout must be one of hidden, output/],
    ] as const) {
      const { code, err } = await cli(...argv);
      expect(code, argv.join(' ')).toBe(1);
      expect(err).toMatch(message);
      expect(err).not.toContain('unexpected error');
    }
  });
});
