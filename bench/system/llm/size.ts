/** What a page has to load. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import * as esbuild from 'esbuild';
import type { BenchContext } from '../../report.js';
import { peerPath } from './contestant.js';

export async function benchSize({ table }: BenchContext): Promise<void> {
  const built = await esbuild.build({
    ...{ entryPoints: ['dist/browser/llm.js'], bundle: true, minify: true, format: 'esm', write: false },
    ...{ platform: 'browser', target: 'es2022', logLevel: 'error', splitting: true, outdir: 'build/size' },
  });
  const entry = built.outputFiles.find(({ path }) => path.endsWith('llm.js'))!;
  const rows: [string, string, string][] = [];
  const kb = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
  rows.push([
    'tutti/llm, all of it with its Wasm and WGSL',
    kb(entry.contents.length),
    kb(brotliCompressSync(entry.contents).length),
  ]);
  const wllama = peerPath('@wllama/wllama');
  if (wllama) {
    const folder = dirname(wllama);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name === 'index.min.js' || name.endsWith('.wasm'))
      .map((name) => join(folder, name))
      .filter((name) => statSync(name).isFile());
    let [raw, packed] = [0, 0];
    for (const name of files) {
      raw += statSync(name).size;
      packed += brotliCompressSync(readFileSync(name)).length;
    }
    rows.push(['wllama (llama.cpp as Wasm)', kb(raw), kb(packed)]);
  }
  table({ title: 'What a page loads to run a model', columns: ['', 'bytes', 'brotli'], rows });
}
