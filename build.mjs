// Builds everything a user imports: assembly/ -> build/*.wasm, host/ -> dist/*.js (one bundle per entry point, shared
// chunks between them) and dist/types. `node build.mjs wasm` stops after the Wasm.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as esbuild from 'esbuild';

const root = import.meta.dirname;
const bin = (name) => join(root, 'node_modules', '.bin', name);
const target = process.env.TUTTI_WASM_TARGET ?? 'release';

/** One Wasm module per room of assembly/ that has an index.ts. */
function buildWasm() {
  mkdirSync(join(root, 'build'), { recursive: true });
  for (const room of readdirSync(join(root, 'assembly'))) {
    const entry = join('assembly', room, 'index.ts');
    if (!existsSync(join(root, entry))) continue;
    const out = join('build', `${room}.wasm`);
    execFileSync(bin('asc'), [entry, '--config', 'asconfig.json', '--target', target, '--outFile', out], {
      cwd: root,
      stdio: 'inherit',
    });
  }
}

async function buildHost() {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  const shared = {
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    loader: { '.wgsl': 'text', '.wasm': 'binary' },
    legalComments: 'none',
    minifyWhitespace: true,
    minifySyntax: true,
    splitting: true,
    sourcemap: false,
  };
  const entries = { index: 'host/index.ts', snn: 'host/snn/index.ts' };
  await esbuild.build({ ...shared, entryPoints: entries, outdir: 'dist/node', platform: 'node', packages: 'external' });
  await esbuild.build({ ...shared, entryPoints: entries, outdir: 'dist/browser', platform: 'browser', external: ['webgpu', 'node:*'] });
  await esbuild.build({
    ...shared,
    entryPoints: { cli: 'host/cli/main.ts' },
    outdir: 'dist/cli',
    platform: 'node',
    packages: 'external',
    banner: { js: '#!/usr/bin/env node' },
  });
  for (const file of readdirSync(join(root, 'build'))) {
    if (file.endsWith('.wasm')) copyFileSync(join(root, 'build', file), join(root, 'dist', file));
  }
  execFileSync(bin('tsc'), ['-p', 'tsconfig.types.json'], { cwd: root, stdio: 'inherit' });
}

buildWasm();
if (process.argv[2] !== 'wasm') await buildHost();
