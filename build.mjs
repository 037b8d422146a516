// Builds everything a user imports: assembly/ -> build/*.wasm, host/ -> dist/. `node build.mjs wasm` stops after the Wasm.
//
//   dist/node, dist/browser   one ES module per entry point, chunks shared between them, Wasm and WGSL embedded
//   dist/cli/cli.js           the `tutti` command
//   dist/uplot                what reports of simulations draw with
//   dist/bridge               the bridge for boards, in Python
//   dist/types                declarations
//   dist/*.wasm               the Wasm that package.json exports, as files of their own
//
// TUTTI_WASM_TARGET chooses a target of asconfig.json ("release", the default, or "debug").
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import * as esbuild from 'esbuild';

const root = import.meta.dirname;
const entries = {
  index: 'host/index.ts',
  snn: 'host/snn/index.ts',
  llm: 'host/llm/index.ts',
  dit: 'host/dit/index.ts',
  simulate: 'host/simulate/index.ts',
  maestro: 'host/maestro/index.ts',
};
const nodeEntries = { ...entries, serve: 'host/serve/index.ts' };
const target = process.env.TUTTI_WASM_TARGET || 'release';

/** What went wrong, for a person: printed without a stack. */
class BuildError extends Error {}

/** Runs a tool of node_modules; what it prints is shown only when it fails. */
function tool(script, args) {
  return new Promise((resolve, reject) => {
    const path = join(root, 'node_modules', script);
    if (!existsSync(path)) return reject(new BuildError(`${script} is not installed; run \`npm ci\` first`));
    const child = spawn(process.execPath, [path, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) return resolve();
      reject(
        new BuildError(`${output.trimEnd()}\n${script} failed (${signal ?? `exit code ${code}`}): ${args.join(' ')}`),
      );
    });
  });
}

const sourcesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

/** Changes whenever a module's bytes could: sources, compiler, options. */
function wasmKey(room) {
  const hash = createHash('sha256').update(target);
  const shared = readdirSync(join(root, 'assembly')).filter((name) => name.endsWith('.ts'));
  const files = [
    join(root, 'asconfig.json'),
    join(root, 'node_modules/assemblyscript/package.json'),
    ...shared.map((name) => join(root, 'assembly', name)),
    ...sourcesOf(join(root, 'assembly', room)),
  ];
  for (const file of files) hash.update(relative(root, file)).update('\0').update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

/** One Wasm module per room of assembly/ that has an index.ts; a module whose sources did not change is kept. */
async function buildWasm() {
  const { targets } = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
  if (!(target in targets)) {
    throw new BuildError(
      `asconfig.json has no target "${target}"; TUTTI_WASM_TARGET may be ${Object.keys(targets).join(' or ')}`,
    );
  }
  const build = join(root, 'build');
  mkdirSync(build, { recursive: true });
  const rooms = readdirSync(join(root, 'assembly')).filter((room) =>
    existsSync(join(root, 'assembly', room, 'index.ts')),
  );
  await Promise.all(
    rooms.map(async (room) => {
      const key = wasmKey(room);
      const keyFile = join(build, `${room}.wasm.key`);
      const fresh =
        existsSync(join(build, `${room}.wasm`)) && existsSync(keyFile) && readFileSync(keyFile, 'utf8') === key;
      if (fresh) return;
      // Renamed into place when whole, so that a test that reads the module meanwhile never sees half of it.
      const staging = join(build, `.${room}-${process.pid}`);
      mkdirSync(staging, { recursive: true });
      try {
        const out = relative(root, join(staging, `${room}.wasm`));
        const args = [`assembly/${room}/index.ts`, '--config', 'asconfig.json', '--target', target, '--outFile', out];
        await tool('assemblyscript/bin/asc.js', args);
        for (const name of readdirSync(staging)) renameSync(join(staging, name), join(build, name));
        writeFileSync(keyFile, key);
      } finally {
        rmSync(staging, { recursive: true, force: true });
      }
    }),
  );
  return rooms;
}

/** Shader text without comments and indentation: WGSL has no string literals, so nothing else can look like a comment. */
const wgsl = {
  name: 'wgsl',
  setup(build) {
    build.onLoad({ filter: /\.wgsl$/ }, ({ path }) => ({
      loader: 'text',
      contents: readFileSync(path, 'utf8')
        .replace(/\/\*[\s\S]*?\*\//g, ' ')
        .replace(/\/\/.*$/gm, '')
        .replace(/^\s+|[^\S\n]+$/gm, ''),
    }));
  },
};

const bundle = (options) =>
  esbuild
    .build({
      absWorkingDir: root,
      bundle: true,
      format: 'esm',
      target: 'es2022',
      loader: { '.wasm': 'binary' },
      plugins: [wgsl],
      legalComments: 'none',
      minifyWhitespace: true,
      minifySyntax: true,
      splitting: true,
      chunkNames: 'chunks/[name]-[hash]',
      logLevel: 'silent',
      ...options,
    })
    .catch(async (error) => {
      const messages = await esbuild.formatMessages(error.errors ?? [], {
        kind: 'error',
        color: process.stderr.isTTY === true,
      });
      throw messages.length > 0 ? new BuildError(messages.join('').trimEnd()) : error;
    });

async function buildHost(rooms) {
  for (const entry of [...Object.values(nodeEntries), 'host/cli/main.ts']) {
    if (!existsSync(join(root, entry))) throw new BuildError(`the entry point ${entry} is missing`);
  }
  const dist = join(root, 'build', `.dist-${process.pid}`);
  rmSync(dist, { recursive: true, force: true });
  try {
    await Promise.all([
      bundle({ entryPoints: nodeEntries, outdir: join(dist, 'node'), platform: 'node', packages: 'external' }),
      // Nothing is external here: a Node built-in or a package that slips into the browser's bundle fails the build.
      bundle({ entryPoints: entries, outdir: join(dist, 'browser'), platform: 'browser' }),
      bundle({
        entryPoints: { cli: 'host/cli/main.ts' },
        outdir: join(dist, 'cli'),
        platform: 'node',
        packages: 'external',
      }),
      tool('typescript/bin/tsc', ['-p', 'tsconfig.types.json', '--outDir', join(dist, 'types')]),
    ]);
    // The bridge for boards, which is copied to them as it is.
    cpSync(join(root, 'host/fpga/bridge'), join(dist, 'bridge'), {
      recursive: true,
      filter: (path) => !/test_\w+\.py$|__pycache__/.test(path),
    });
    // What reports draw their plots with.
    mkdirSync(join(dist, 'uplot'));
    for (const name of ['uPlot.iife.min.js', 'uPlot.min.css'])
      copyFileSync(join(root, 'node_modules/uplot/dist', name), join(dist, 'uplot', name));
    copyFileSync(join(root, 'node_modules/uplot/LICENSE'), join(dist, 'uplot', 'LICENSE'));
    const cli = join(dist, 'cli', 'cli.js');
    const script = readFileSync(cli, 'utf8');
    if (!script.startsWith('#!')) writeFileSync(cli, `#!/usr/bin/env node\n${script}`);
    chmodSync(cli, 0o755);
    for (const entry of Object.values(nodeEntries)) {
      const file = join(dist, 'types', relative('host', entry).replace(/\.ts$/, '.d.ts'));
      // Symbol.asyncDispose in the declarations needs this library, which users of ES2022 have not named themselves.
      writeFileSync(file, `/// <reference lib="esnext.disposable" />\n${readFileSync(file, 'utf8')}`);
    }
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    for (const room of rooms) {
      if (`./${room}.wasm` in exports) copyFileSync(join(root, 'build', `${room}.wasm`), join(dist, `${room}.wasm`));
    }
    rmSync(join(root, 'dist'), { recursive: true, force: true });
    renameSync(dist, join(root, 'dist'));
  } finally {
    rmSync(dist, { recursive: true, force: true });
  }
}

try {
  const what = process.argv[2];
  if (what !== undefined && what !== 'wasm') throw new BuildError(`usage: node build.mjs [wasm], not "${what}"`);
  const rooms = await buildWasm();
  if (what !== 'wasm') await buildHost(rooms);
} catch (error) {
  console.error(error instanceof BuildError ? error.message : error);
  process.exitCode = 1;
}
