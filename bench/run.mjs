// Bundles one benchmark from TypeScript and runs it: `node bench/run.mjs system/snn [--quick] [--json] [--only part,part]`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import * as esbuild from 'esbuild';

const root = join(import.meta.dirname, '..');
const [name, ...rest] = process.argv.slice(2);
if (!name) {
  console.error('usage: node bench/run.mjs <system/snn|micro/snn> [--quick] [--json]');
  process.exit(2);
}
const outfile = join(root, 'build', 'bench', `${name.replaceAll('/', '-')}.mjs`);
await esbuild.build({
  absWorkingDir: root,
  entryPoints: [`bench/${name}.ts`],
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
