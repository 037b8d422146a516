/**
 * `npm run bench:serve [-- --quick] [--seconds 120] [--clients 200] [--json]`: the server in a process of its own, clients that stream from it all the
 * time, each text held to what the same request gives alone; then a thousand clients that leave at random points.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createWasmDevice } from '../../host/device/wasm.js';
import { bytesSource } from '../../host/llm/byte-source.js';
import { openLanguageModel } from '../../host/llm/engine/engine.js';
import { serve } from '../../host/serve/index.js';
import { median, runBenchmark } from '../report.js';
import { alone, askedList, leave, soak, type Target } from './serve-clients.js';

const MODEL = 'stories260k';

interface ServerState {
  readonly url: string;
  readonly running: number;
  readonly usedBlocks: number;
  readonly evictions: number;
  readonly computedTokens: number;
  readonly reusedTokens: number;
  /** MiB. */
  readonly rss: number;
  readonly heap: number;
}

async function serverProcess(): Promise<void> {
  const device = await createWasmDevice({ threads: 1 });
  const file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
  const model = await openLanguageModel(bytesSource(file), {
    device,
    batchSequences: 64,
    batchTokens: 128,
    blocks: 1024,
  });
  const server = await serve({ models: { [MODEL]: model }, port: 0 });
  const state = (): ServerState => {
    (globalThis as { gc?: () => void }).gc?.();
    const { rss, heapUsed } = process.memoryUsage();
    const { usedBlocks, evictions, computedTokens, reusedTokens } = model.usage;
    return {
      ...{ url: server.url, running: Math.max(server.running, model.usage.running), usedBlocks, evictions },
      ...{ computedTokens, reusedTokens, rss: rss / 2 ** 20, heap: heapUsed / 2 ** 20 },
    };
  };
  process.on('message', () => process.send!(state()));
  process.on('disconnect', () => process.exit());
  process.send!(state());
}

const told = (child: ChildProcess): Promise<ServerState> =>
  new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`the server ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (state) => {
      child.off('exit', ended);
      resolve(state as ServerState);
    });
  });

function ask(child: ChildProcess): Promise<ServerState> {
  const answer = told(child);
  child.send('state');
  return answer;
}

const option = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};

if (process.argv.includes('--server')) await serverProcess();
else {
  await runBenchmark('bench:serve', async ({ quick, say, table, bar }) => {
    const seconds = option('--seconds', quick ? 15 : 120);
    const clients = option('--clients', 200);
    const leavers = quick ? 200 : 1000;
    const child = fork(fileURLToPath(import.meta.url), ['--server'], { execArgv: ['--expose-gc'] });
    try {
      const first = await told(child);
      const target: Target = { url: first.url, model: MODEL };
      say('each request by itself');
      const expected = await alone(target, askedList(60, 200));
      const firstTokens: number[] = [];
      const gaps: number[] = [];
      const begin = performance.now();
      const elapsed = (): number => (performance.now() - begin) / 1e3;
      const samples: [number, ServerState][] = [];
      const sampling = (async () => {
        for (let k = 0; k <= 8; k++) {
          const wait = (k * seconds) / 8 - elapsed();
          if (wait > 0) await new Promise((resolve) => setTimeout(resolve, 1e3 * wait));
          samples.push([elapsed(), await ask(child)]);
        }
      })();
      say(`${clients} streams at once for ${seconds} s`);
      const result = await soak(
        ...([target, expected, clients] as const),
        () => elapsed() >= seconds,
        (stream) => {
          firstTokens.push(stream.firstToken);
          for (const gap of stream.gaps) gaps.push(gap);
        },
      );
      const took = elapsed();
      await sampling;
      for (const wrong of result.wrong.slice(0, 5)) say(wrong);
      const at = (sorted: readonly number[], share: number): number =>
        sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
      const [g, f] = [Float64Array.from(gaps).sort(), Float64Array.from(firstTokens).sort()];
      const share = (list: Float64Array, part: number): number => at(list as unknown as readonly number[], part);
      table({
        title: `${clients} streams at once, ${seconds} s`,
        columns: ['', 'p50', 'p90', 'p99', 'most'],
        rows: [
          ['ms to the first token', share(f, 0.5), share(f, 0.9), share(f, 0.99), share(f, 1)],
          ['ms between tokens', share(g, 0.5), share(g, 0.9), share(g, 0.99), share(g, 1)],
        ],
        note: `${result.streams} streams, ${result.tokens} tokens, ${Math.round(result.tokens / took)} a second; as the clients, in a process of their own on the same machine, see them`,
      });
      table({
        title: 'the server meanwhile (heap after collection)',
        columns: ['s', 'heap MiB', 'rss MiB', 'answers', 'blocks', 'tokens computed', 'reused', 'evictions'],
        rows: samples.map(([s, state]) => [
          ...[Math.round(s), state.heap, state.rss, state.running, state.usedBlocks],
          ...[state.computedTokens, state.reusedTokens, state.evictions],
        ]),
      });
      bar('streams that lost, mixed or did not get a token', '<=', 0, result.wrong.length, 'streams');
      const heaps = samples.map(([, state]) => state.heap);
      const growth = median(heaps.slice(-3)) - median(heaps.slice(1, 4));
      bar('heap of the server, last third against first', '<=', 8, growth, 'MiB more');

      say(`${leavers} clients that leave`);
      const left = await leave(target, leavers, 50, 7);
      let last = await ask(child);
      for (let tries = 0; last.running > 0 && tries < 500; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        last = await ask(child);
      }
      table({
        title: `${leavers} clients that leave`,
        columns: ['before a byte', 'in the middle', 'at the end', 'answers left', 'blocks left'],
        rows: [[left.before, left.during, left.after, last.running, last.usedBlocks]],
      });
      bar('blocks that clients who left hold', '<=', 0, last.usedBlocks + last.running, 'blocks and answers');
      const again = await soak(target, expected, 20, (streams) => streams >= 60);
      bar('streams after that which are not as they are alone', '<=', 0, again.wrong.length, 'of 60 and more');
    } finally {
      child.disconnect();
    }
  });
}
