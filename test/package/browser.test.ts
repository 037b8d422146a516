/** The packed package in real Chromium: bundled into a page, and imported by URL from another origin without a bundler. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as esbuild from 'esbuild';
import { chromium, type Browser } from 'playwright';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chromiumOptions } from '../setup/chromium.js';
import { isolation, serveFolder, type StaticServer } from '../setup/static-server.js';
import { createConsumer, tinyNetwork, tinyResult, type Consumer } from './consumer.js';

let consumer: Consumer;
let browser: Browser;
let servers: StaticServer[];

beforeAll(async () => {
  consumer = await createConsumer();
  consumer.write('tiny.js', tinyNetwork);
  browser = await chromium.launch(chromiumOptions);
}, 180_000);
afterAll(async () => {
  await browser?.close();
  consumer?.remove();
});

beforeEach(() => {
  servers = [];
});
afterEach(() => Promise.all(servers.map((server) => server.close())));

const serve = async (folder: string, headers?: Readonly<Record<string, string>>): Promise<string> => {
  const server = await serveFolder(folder, headers);
  servers.push(server);
  return server.origin;
};

const page = (script: string): string =>
  `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>tutti</title><script type="module">${script}</script>`;

/** Opens a page whose script sets \`window.answer\` to a promise, and resolves with what that comes to. Any error in the page is one here. */
const answerOf = async (url: string): Promise<unknown> => {
  const tab = await browser.newPage();
  const problems: string[] = [];
  tab.on('pageerror', (error) => problems.push(error.message));
  tab.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  try {
    await tab.goto(url);
    const answer = await tab
      .waitForFunction(() => 'answer' in window, undefined, { timeout: 30_000 })
      .then(() => tab.evaluate(() => (window as unknown as { answer: Promise<unknown> }).answer))
      .catch((error: unknown) => {
        throw new Error(`the page gave no answer; it said: ${problems.join('\n') || 'nothing'}`, { cause: error });
      });
    expect(problems).toEqual([]);
    return answer;
  } finally {
    await tab.close();
  }
};

/** Runs the tiny network on everything that a page can have. */
const everywhere = `
  async function everywhere(tutti, snn) {
    const answers = {};
    const open = { wasm: () => tutti.createWasmDevice(), threads: () => tutti.createWasmDevice({ threads: 2 }), webgpu: () => tutti.createWebGpuDevice() };
    for (const [name, create] of Object.entries(open)) {
      const device = await create();
      const { counts, potentials, threads, notices } = await tinyNetwork(snn, device);
      answers[name] = name === 'webgpu' ? { counts, potentials } : { counts, potentials, threads, notices };
      await device.close();
    }
    return answers;
  }
`;

const threaded = {
  wasm: { ...tinyResult, threads: 1, notices: [] },
  threads: { ...tinyResult, threads: 2, notices: [] },
  webgpu: tinyResult,
};

describe('in a bundled page', () => {
  it('runs on Wasm, Wasm threads and WebGPU, from the page and from a Web Worker', async () => {
    const imports = `import * as tutti from 'tutti'; import * as snn from 'tutti/snn'; import { tinyNetwork } from './tiny.js'; ${everywhere}`;
    consumer.write('page.js', `${imports} window.answer = everywhere(tutti, snn);`);
    consumer.write(
      'worker.js',
      `${imports} everywhere(tutti, snn).then(postMessage, (error) => postMessage(String(error)));`,
    );
    const outdir = join(consumer.folder, 'site');
    // No loader, plugin or define: what a bundler does with the package when nobody has told it anything.
    await esbuild.build({
      absWorkingDir: consumer.folder,
      entryPoints: ['page.js', 'worker.js'],
      outdir,
      bundle: true,
      minify: true,
      format: 'esm',
      logLevel: 'silent',
    });
    consumer.write('site/index.html', page(`import './page.js';`));
    consumer.write(
      'site/worker.html',
      page(`
        const worker = new Worker('./worker.js', { type: 'module' });
        window.answer = new Promise((resolve, reject) => { worker.onmessage = ({ data }) => resolve(data); worker.onerror = reject; });
      `),
    );
    const origin = await serve(outdir, isolation);
    expect(await answerOf(`${origin}/index.html`)).toEqual(threaded);
    expect(await answerOf(`${origin}/worker.html`)).toEqual(threaded);
  }, 120_000);
});

describe('from a content delivery network', () => {
  const scripts = (cdn: string): string =>
    page(`
    import * as tutti from '${cdn}/dist/browser/index.js';
    import * as snn from '${cdn}/dist/browser/snn.js';
    ${tinyNetwork.replace('export ', '')}
    ${everywhere}
    window.answer = everywhere(tutti, snn);
  `);
  const site = async (headers: Readonly<Record<string, string>>): Promise<string> => {
    const cdn = await serve(consumer.installed, {
      'Access-Control-Allow-Origin': '*',
      'Cross-Origin-Resource-Policy': 'cross-origin',
    });
    mkdirSync(join(consumer.folder, 'plain'), { recursive: true });
    consumer.write('plain/index.html', scripts(cdn));
    return `${await serve(join(consumer.folder, 'plain'), headers)}/index.html`;
  };

  it('runs on all devices in a cross-origin isolated page', async () => {
    expect(await answerOf(await site(isolation))).toEqual(threaded);
  }, 120_000);

  it('runs on one thread, and says so, in a page that is not isolated', async () => {
    expect(await answerOf(await site({}))).toEqual({
      ...threaded,
      threads: { ...tinyResult, threads: 1, notices: [expect.stringMatching(/single-threaded.*COOP.*COEP/)] },
    });
  }, 120_000);
});
