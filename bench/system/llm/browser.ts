/** In a browser, one thread: ours and wllama (llama.cpp as Wasm) on the same file, in turn, each in a page of its own. */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { chromium } from 'playwright';
import { chromiumOptions } from '../../../test/setup/chromium.js';
import { interleaved, median, type BenchContext } from '../../report.js';
import { fileOf, peerPath, PROMPT } from './contestant.js';

const TYPES: Readonly<Record<string, string>> = { js: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };

/** Serves folders and files under first path parts, cross-origin isolated. */
function serve(roots: Readonly<Record<string, string>>): Promise<{ origin: string; close: () => void }> {
  const server = createServer((request, response) => {
    const [first, ...rest] = decodeURIComponent((request.url ?? '/').slice(1)).split('/');
    const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
    if (first === '') {
      response.writeHead(200, { ...headers, 'content-type': 'text/html' }).end('<!doctype html><title>bench</title>');
      return;
    }
    const root = roots[first!];
    const path = root && join(root, ...rest);
    try {
      const size = statSync(path!).size;
      const type = TYPES[path!.split('.').at(-1)!] ?? 'application/octet-stream';
      response.writeHead(200, { ...headers, 'content-type': type, 'content-length': size });
      createReadStream(path!).pipe(response);
    } catch {
      response.writeHead(404, headers).end();
    }
  });
  return new Promise((done) =>
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      done({ origin: `http://127.0.0.1:${port}`, close: () => server.close() });
    }),
  );
}

/** In the page: opens the model and leaves `once(tokens)`, which resolves with decoded tokens per second. */
const OURS = `
  const { createWasmDevice } = await import('/dist/index.js');
  const { bytesSource, openLanguageModel } = await import('/dist/llm.js');
  const file = new Uint8Array(await (await fetch('/model/')).arrayBuffer());
  const device = await createWasmDevice({ threads: 1, memoryBudget: 2 ** 31 });
  const model = await openLanguageModel(bytesSource(file), { device, context: 256 });
  let seed = 0;
  window.once = async (tokens) => {
    seed++;
    const prompt = Array.from({ length: ${PROMPT} }, (_, i) => 260 + ((i * 37 + seed * 101) % 31000));
    let first, count = 0;
    for await (const _ of model.generate({ prompt, maxTokens: tokens })) if (count++ === 0) first = performance.now();
    return (1000 * (count - 1)) / (performance.now() - first);
  };
`;
const WLLAMA = `
  const { Wllama } = await import('/wllama/index.js');
  const wllama = new Wllama({ default: '/wllama/wasm/wllama.wasm' }, { suppressNativeLog: true });
  const blob = await (await fetch('/model/')).blob();
  await wllama.loadModel([blob], { n_ctx: 256, n_threads: 1, n_gpu_layers: 0 });
  let seed = 0;
  window.once = async (tokens) => {
    seed++;
    const prompt = 'p' + seed + ' ' + 'a b c d e f g h '.repeat(4);
    let first, count = 0;
    const stream = await wllama.createCompletion({ prompt, max_tokens: tokens, temperature: 0, stream: true, ignore_eos: true });
    for await (const _ of stream) if (count++ === 0) first = performance.now();
    return (1000 * (count - 1)) / (performance.now() - first);
  };
`;

export async function benchBrowser({ table, bar, say, quick }: BenchContext): Promise<void> {
  const file = await fileOf('110m', 'Q8_0');
  const wllama = peerPath('@wllama/wllama');
  const { origin, close } = await serve({
    ...{ dist: resolve('dist/browser'), model: file },
    ...(wllama && { wllama: dirname(wllama) }),
  });
  const browser = await chromium.launch(chromiumOptions);
  try {
    const open = async (program: string): Promise<(tokens: number) => Promise<number>> => {
      const page = await browser.newPage();
      page.on('pageerror', (error) => say(`page: ${error.message}`));
      await page.goto(`${origin}/`);
      await page.evaluate(`(async () => {${program}})()`);
      return (tokens) => page.evaluate(`window.once(${tokens})`);
    };
    const contestants: Record<string, (tokens: number) => Promise<number>> = { tutti: await open(OURS) };
    if (wllama) {
      try {
        contestants['wllama'] = await open(WLLAMA);
      } catch (error) {
        say(`wllama cannot be run: ${String(error)}`);
      }
    }
    const tokens = quick ? 16 : 48;
    for (const name in contestants) await contestants[name]!(8);
    const values = await interleaved(
      quick ? 2 : 7,
      Object.fromEntries(Object.entries(contestants).map(([name, once]) => [name, () => once(tokens)])),
    );
    const of = (name: string): number | undefined => values[name] && median(values[name]);
    const ratio = of('wllama') && of('tutti')! / of('wllama')!;
    table({
      title: `110M Q8_0 in ${browser.browserType().name()} ${browser.version()}, one thread, ${tokens} tokens`,
      columns: ['', 'decode/s', 'ratio'],
      rows: Object.keys(contestants).map((name) => [name, of(name), name === 'tutti' ? ratio : undefined]),
      note: 'Pages of one browser, in turn. wllama is taken from the folder that TUTTI_PEERS names.',
    });
    bar('decode, 110M Q8_0, one thread, of the best Wasm peer (wllama)', '>=', 1.5, ratio, 'x');
  } finally {
    await browser.close();
    close();
  }
}
