/** That the committed Wasm is what the RTL says today, and that what these tools make of it now does the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openTwin } from '../../host/fpga/twin.js';
import { REGISTER } from '../../host/fpga/register-map.js';
import { DEFAULT_MACHINE } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { loadWords } from '../../host/snn/machine/load-words.js';
import { buildSimulator } from '../../rtl/sim/build-simulator.js';
import { runTool } from '../../rtl/sim/sources.js';
import { buildTwin, TWIN, TWIN_SOURCES, twinHash } from '../../rtl/twin/build-twin.js';
import { randomInput, randomProgram } from '../../host/kernels/conformance/random-program.js';

const SMALL = { ...DEFAULT_MACHINE, spus: 2, lanes: 2, neurons: 160, axons: 128 };
const program = randomProgram(DEFAULT_MACHINE, { seed: 11, groups: 24, axons: 256 });
const read = { first: 3, count: 40, everyStep: true };
const samples = Array.from({ length: 6 }, (_, k) => randomInput(program, { seed: 50 + k, steps: 4, rate: 30 }));
const load = loadWords(program, read);
const words = Uint32Array.from([load, ...samples].flatMap((part) => [...part]));
const model = createCycleModel(program, read).run(Uint32Array.from(samples.flatMap((part) => [...part])));

/** Everything at once, until as many words have come as the model puts out, then `more` registers. */
async function throughTwin(wasm: Uint8Array): Promise<{ output: number[]; cycles: number; wordsIn: number }> {
  const twin = await openTwin({ wasm })();
  await twin.send(words);
  const output: number[] = [];
  while (output.length < model.length) output.push(...(await twin.receive()));
  const [cycles, wordsIn] = [
    await twin.registers!.read(REGISTER.cyclesLow),
    await twin.registers!.read(REGISTER.wordsIn),
  ];
  await twin.close();
  return { output, cycles, wordsIn };
}

describe('the RTL as Wasm', () => {
  it('was made from the RTL as it is', () => {
    const { sources, machine } = JSON.parse(readFileSync(TWIN_SOURCES, 'utf8')) as {
      sources: string;
      machine: unknown;
    };
    expect(machine, 'the default machine has changed: run `npm run rtl:twin`').toEqual(DEFAULT_MACHINE);
    expect(sources, `${TWIN} is stale: run \`npm run rtl:twin\``).toBe(twinHash(DEFAULT_MACHINE));
  });

  it('imports nothing', async () => {
    expect(WebAssembly.Module.imports(await WebAssembly.compile(new Uint8Array(readFileSync(TWIN))))).toEqual([]);
  });

  it('does what it does when it is built anew, to the cycle', { timeout: 180_000 }, async () => {
    const committed = await throughTwin(new Uint8Array(readFileSync(TWIN)));
    const rebuilt = await throughTwin(await buildTwin(DEFAULT_MACHINE));
    expect(rebuilt).toEqual(committed);
    expect(committed.output).toEqual([...model]);
    expect(committed.wordsIn).toBe(words.length);
  });
});

describe('the native simulator', () => {
  it('puts out what the model does, whatever pauses its streams make', { timeout: 180_000 }, async () => {
    const simulator = await buildSimulator(SMALL);
    const small = randomProgram(SMALL, { seed: 5, groups: 40 });
    const inputs = Array.from({ length: 3 }, (_, k) => randomInput(small, { seed: k, steps: 5, rate: 20 }));
    const all = Uint32Array.from(inputs.flatMap((part) => [...part]));
    const expected = [...createCycleModel(small, read).run(all)];
    const input = new Uint8Array(Uint32Array.from([...loadWords(small, read), ...all]).buffer);
    expect(await batch(simulator, [], input)).toEqual(expected);
    const stalled = await batch(
      simulator,
      ['--stall-in', '200', '--stall-out', '180', '--seed', '7', '--random'],
      input,
    );
    // Cycles differ then, and nothing else.
    const ends = expected.flatMap((word, k) => (word >>> 30 === 2 ? [k + 1] : []));
    for (const k of ends) expect(stalled[k]!).toBeGreaterThanOrEqual(expected[k]!);
    expect(stalled.map((word, k) => (ends.includes(k) ? 0 : word))).toEqual(
      expected.map((word, k) => (ends.includes(k) ? 0 : word)),
    );
  });

  it('says what it does not understand', async () => {
    const simulator = await buildSimulator(SMALL);
    await expect(runTool(simulator, ['--stall-in', '300'])).rejects.toThrow(
      /--stall-in is "300"; it must be 0 \.\. 255/,
    );
    await expect(runTool(simulator, ['--batch'], { input: 'abc' })).rejects.toThrow(/ends within a word/);
  });
});

async function batch(simulator: string, options: readonly string[], input: Uint8Array): Promise<number[]> {
  const { spawnSync } = await import('node:child_process');
  const { status, stdout, stderr } = spawnSync(simulator, ['--batch', ...options], { input, maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(stderr.toString());
  return [...new Uint32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.byteLength))];
}
