import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readGgufBytes } from '../llm/gguf/read-gguf.js';
import { runCli } from './program.js';

const stories = 'models/stories260k/stories260k-f32.gguf';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tutti-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function cli(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(['llm', ...argv], {
    out: (text) => void (out += stripVTControlCharacters(text)),
    err: (text) => void (err += stripVTControlCharacters(text)),
  });
  return { code, out, err };
}

describe('tutti llm', () => {
  it('tells what is in a file', async () => {
    const { code, out } = await cli('info', stories);
    expect(code).toBe(0);
    expect(out).toMatch(/^architecture +llama$/m);
    expect(out).toMatch(/^parameters +292,800$/m);
    expect(out).toMatch(/^attention +8 heads over 4, of 8$/m);
    expect(out).toMatch(/^F32 +48 +1.12$/m);
    expect(JSON.parse((await cli('info', stories, '--json')).out)).toMatchObject({
      config: { layers: 5, context: 512 },
      tokenizer: { tokens: 512, ends: [2] },
    });
  });

  it('converts a file, a folder and random weights', async () => {
    const to = (name: string): string => join(folder, name);
    const text = await cli('convert', stories, '-o', to('stories.gguf'));
    expect(text).toMatchObject({ code: 0, err: '' });
    expect(text.out).toMatch(/stories\.gguf {2}0\.4 MiB\n.*\(llama\), 292,800 parameters, tensors: .*32 Q8_0/);
    const report = JSON.parse(
      (await cli('convert', 'test/data/hugging-face/qwen3', '-o', to('qwen3.gguf'), '--type', 'q4_0', '--json')).out,
    ) as Record<string, unknown>;
    expect(report).toMatchObject({ architecture: 'qwen3', types: { F32: 9 }, written: to('qwen3.gguf') });
    expect(readFileSync(to('qwen3.gguf'))).toHaveLength(report['bytes'] as number);
    expect(await cli('convert', 'random:15m', '-o', to('random.gguf'), '--type', 'q8_0', '--seed', '3')).toMatchObject({
      code: 0,
    });
    expect(readGgufBytes(new Uint8Array(readFileSync(to('random.gguf')))).tensors.size).toBe(56);
  });

  it('says what is wrong, and leaves no half of a file', async () => {
    for (const [argv, message] of [
      [['convert', 'random:7b'], /no random model "7b"; there are 15m, 110m, 0.5b/],
      [['convert', stories, '--type', 'q2_k'], /--type must be q8_0, q4_0, f16 or f32, got "q2_k"/],
      [['convert', 'nothing.gguf'], /nothing.gguf cannot be opened/],
      [['convert', folder], /has no config.json/],
      [['convert', 'random:15m', '--seed', 'x'], /--seed must be a whole number/],
    ] as const) {
      const out = join(folder, 'none.gguf');
      expect(await cli(...argv, '-o', out)).toMatchObject({ code: 1, err: expect.stringMatching(message) as string });
      expect([existsSync(out), existsSync(`${out}.unfinished`)]).toEqual([false, false]);
    }
    expect((await cli('convert', stories, '-o', join(folder, 'no/such/x.gguf'))).err).toMatch(/cannot be created/);
  });
});
