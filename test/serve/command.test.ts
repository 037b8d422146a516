/** `tutti serve` and `tutti chat` as programs. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as esbuild from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let folder: string;
const children: ChildProcessWithoutNullStreams[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tutti-serve-'));
  for (const name of ['node_modules', 'models']) symlinkSync(join(root, name), join(folder, name));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  mkdirSync(join(folder, 'dist'));
  await esbuild.build({
    entryPoints: { cli: join(root, 'host/cli/main.ts') },
    outdir: join(folder, 'dist/cli'),
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'es2022', packages: 'external' },
    loader: { '.wgsl': 'text', '.wasm': 'binary' },
  });
});
afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Program {
  readonly child: ChildProcessWithoutNullStreams;
  readonly said: { out: string; err: string };
  /** Resolves when the program has said so on standard output. */
  saying(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<number | null>;
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [join(folder, 'dist/cli/cli.js'), ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
  children.push(child);
  const said = { out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => (said.out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (said.err += data.toString()));
  const ended = new Promise<number | null>((done) => child.on('close', done));
  return {
    ...{ child, said, ended },
    async saying(pattern) {
      for (;;) {
        const found = pattern.exec(said.out);
        if (found) return found;
        if (child.exitCode !== null) throw new Error(`the program ended: ${said.err}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}

describe('tutti serve', () => {
  it('serves the packaged model, asks for its key, and finishes what runs when it is told to stop', async () => {
    const program = run(['serve', '--port', '0', '--threads', '1'], { TUTTI_API_KEY: 'secret' });
    const [, url] = await program.saying(/stories260k on \S+ at (\S+)\/v1/);
    const [, curl] = await program.saying(/try: (curl .*)/);
    expect(curl).toContain('$TUTTI_API_KEY');
    expect(program.said.out).not.toContain('secret');
    const post = (key: string): Promise<Response> =>
      fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: 'stories260k', prompt: 'Once', max_tokens: 300, stream: true }),
      });
    expect((await post('guess')).status).toBe(401);
    const response = await post('secret');
    program.child.kill('SIGTERM');
    expect(await response.text()).toMatch(/"finish_reason":"(length|stop)"[^\n]*\n\ndata: \[DONE\]/);
    expect(await program.ended).toBe(0);
    expect(program.said.err).toMatch(/200 POST \/v1\/completions/);
    expect(program.said.err).toMatch(/SIGTERM: finishing/);
  });

  it('serves several models on several nodes under a policy', async () => {
    const file = join(root, 'models/stories260k/stories260k-f32.gguf');
    const models = [`one=${file}`, `two=${file}`];
    const program = run(['serve', '--policy', 'maestro', '--nodes', '2', '--port', '0', '--model', ...models]);
    const [, url] = await program.saying(/one, two on 2 nodes under maestro at (\S+)\/v1/);
    const post = async (model: string, metadata: object): Promise<[number, string]> => {
      const messages = [{ role: 'user', content: 'Once upon a time' }];
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages, max_tokens: 8, temperature: 0, metadata }),
      });
      return [response.status, await response.text()];
    };
    const tagged = { workflow: 'w', role: 'writer', deadline: '60' };
    for (const [status, text] of await Promise.all([post('one', tagged), post('two', tagged), post('one', {})])) {
      expect(status).toBe(200);
      expect(text).toContain(', there was a little girl');
    }
    expect(await post('two', { deadline: '-1' })).toEqual([400, expect.stringContaining('metadata.deadline')]);
    program.child.kill('SIGTERM');
    expect(await program.ended).toBe(0);
  });

  it('says what is wrong with its options', async () => {
    const failing = async (...args: string[]): Promise<string> => {
      const program = run(['serve', ...args]);
      expect(await program.ended).toBeGreaterThan(0);
      return program.said.err;
    };
    expect(await failing('--model', 'missing.gguf')).toMatch(/missing\.gguf cannot be opened/);
    expect(await failing('--device', 'abacus')).toMatch(/--device is abacus; it must be wasm or webgpu/);
    expect(await failing('--port', 'x')).toMatch(/number in 0 \.\. 65535/);
    expect(await failing('--policy', 'best')).toMatch(/no policy "best"; there are .*maestro/);
    expect(await failing('--nodes', '2')).toMatch(/--nodes needs --policy/);
  });
});

describe('tutti chat', () => {
  it('continues what it is told, remembers it, and forgets it when asked', async () => {
    const program = run(['chat', '--max-tokens', '15', '--temperature', '0', '--threads', '1']);
    const text = 'Once upon a time';
    program.child.stdin.write(`${text}\n`);
    await program.saying(/> .+\n.*> /s);
    program.child.stdin.write(' and\n/reset\n');
    program.child.stdin.end(`${text}\n`);
    expect(await program.ended).toBe(0);
    const [, first, second, last] = program.said.out.split('> ').filter((answer, k) => k === 0 || answer.trim() !== '');
    expect(first!.length).toBeGreaterThan(10);
    expect(last).toBe(first);
    expect(second).not.toBe(first);
  });

  it('Ctrl-C stops the answer, then the program', async () => {
    const program = run(['chat', '--max-tokens', '400', '--temperature', '0', '--threads', '1']);
    program.child.stdin.write('Once upon a time\n');
    await program.saying(/there was/);
    program.child.kill('SIGINT');
    await program.saying(/there was.*\n> /s);
    program.child.stdin.write('/help\n');
    await program.saying(/\/reset begins anew.*\/reset begins anew/s);
    program.child.kill('SIGINT');
    expect(await program.ended).toBe(0);
  });
});
