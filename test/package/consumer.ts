/**
 * A project of a user's: an empty folder into which the packed package was installed from its tarball. What is tested there
 * is dist/ as `npm run build` left it.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

export interface Consumer {
  readonly folder: string;
  /** Where the package lies. */
  readonly installed: string;
  write(name: string, text: string): void;
  /** Resolves with standard output. @throws Error with everything that was printed when it exits with another code than 0 */
  run(command: string, ...args: string[]): Promise<string>;
  remove(): void;
}

/** The environment of a person's shell: without what `npm test` says about this repository. */
const environment = (): NodeJS.ProcessEnv => {
  const foreign =
    /^npm_(package|lifecycle|config_local_prefix|command|execpath|node_execpath)|^(INIT_CWD|NODE_OPTIONS|NODE_ENV|VITEST.*)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
};

function run(folder: string, command: string, args: readonly string[]): Promise<string> {
  return new Promise((done, reject) => {
    execFile(
      command,
      args,
      { cwd: folder, env: environment(), timeout: 120_000, maxBuffer: 2 ** 24 },
      (error, stdout, stderr) => {
        if (error)
          reject(
            new Error(`${command} ${args.join(' ')} failed: ${error.message}\n${stdout}\n${stderr}`, { cause: error }),
          );
        else done(stdout);
      },
    );
  });
}

export async function createConsumer(): Promise<Consumer> {
  if (!existsSync(join(root, 'dist', 'node', 'index.js')))
    throw new Error('dist/ is missing: run `npm run build` first');
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tutti-consumer-')));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    await run(root, 'npm', ['pack', '--ignore-scripts', '--pack-destination', folder]);
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
    await run(folder, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${tarball}`]);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    folder,
    installed: join(folder, 'node_modules', 'tutti'),
    write: (name, text) => writeFileSync(join(folder, name), text),
    run: (command, ...args) => run(folder, command, args),
    remove,
  };
}

/**
 * A module text that defines `tinyNetwork(tutti, snn, device)`: three inputs onto one integrate-and-fire neuron that fires
 * at a potential of 2, once in three spikes' time. JavaScript, as a user without TypeScript would write it.
 */
export const tinyNetwork = `
export async function tinyNetwork(snn, device) {
  const network = snn.defineNetwork({
    numeric: 'fixed',
    populations: [
      { name: 'in', model: 'input', size: 3 },
      { name: 'out', model: 'if', size: 1, threshold: 2 },
    ],
    projections: [{ from: 'in', to: 'out', kind: 'dense', weights: Int8Array.of(1, 1, 1) }],
  });
  const engine = await snn.createEngine(network, { device }, { batch: 2 });
  // The brightest value spikes first, 0 never: sample 0 sends 3 spikes, sample 1 sends one.
  const samples = Float32Array.of(1, 0.6, 0.3, 0, 1, 0);
  const input = snn.encodeLatency(samples, { steps: 4, neurons: 3 });
  const result = await engine.run({ inputs: { in: input }, steps: 4, record: { final: ['out'] } });
  await engine.close();
  return { counts: [...result.spikeCounts.out], potentials: [...result.final.out], threads: device.capabilities.threads, notices: [...device.capabilities.notices] };
}
`;

/** What `tinyNetwork` returns, worked out by hand. */
export const tinyResult = { counts: [1, 0], potentials: [1, 1] };
