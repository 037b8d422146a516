// Bundles one TypeScript program of the repository and runs it: `node bench/run.mjs bench/system/snn.ts --quick`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import * as esbuild from 'esbuild';

const root = join(import.meta.dirname, '..');
const [name, ...rest] = process.argv.slice(2);
if (!name) {
  console.error('usage: node bench/run.mjs <program.ts> [arguments]');
  process.exit(2);
}
const outfile = join(root, 'build', 'bench', `${name.replaceAll('/', '-').replace(/\.ts$/, '')}.mjs`);
await esbuild.build({
  absWorkingDir: root,
  entryPoints: [name],
  outfile,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  loader: { '.wgsl': 'text', '.wasm': 'binary' },
  logLevel: 'warning',
});
const { status, signal } = spawnSync(process.execPath, ['--expose-gc', outfile, ...rest], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? (signal ? 1 : 0));
