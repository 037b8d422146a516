/** Many clients of a server at once: streams held to what the same requests give alone, and connections that are dropped at random points. */
import { connect } from 'node:net';
import { seededRandom, type SeededRandom } from '../../host/random.js';

export interface Target {
  readonly url: string;
  readonly model: string;
}

/** A request that gives the same text each time. */
export interface Asked {
  readonly prompt: string;
  readonly max_tokens: number;
  readonly temperature: number;
  readonly seed: number;
}

const PROMPTS = [
  'Once upon a time',
  'Lily had a red ball',
  'The dog was',
  'One day, a bird',
  'Tom and his mom went to',
  'There was a big tree. The',
  'Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day',
];

/** `count` requests of different lengths, some of which share their beginnings. */
export function askedList(count: number, most: number): readonly Asked[] {
  const random = seededRandom(1);
  return Array.from({ length: count }, (_, k) => ({
    prompt: PROMPTS[k % PROMPTS.length]!,
    max_tokens: 10 + random.below(most - 9),
    temperature: k % 3 === 0 ? 0 : 1,
    seed: k,
  }));
}

export interface Stream {
  readonly text: string;
  readonly tokens: number;
  /** Milliseconds. */
  readonly firstToken: number;
  readonly gaps: readonly number[];
}

/** One stream from beginning to end. @throws Error when it is not answered, or not to its end */
export async function readStream({ url, model }: Target, asked: Asked): Promise<Stream> {
  const began = performance.now();
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, ...asked, stream: true, stream_options: { include_usage: true } }),
  });
  if (!response.ok || !response.body) throw new Error(`status ${response.status}: ${await response.text()}`);
  const decoder = new TextDecoder();
  const gaps: number[] = [];
  let [text, rest, tokens, firstToken, before, ended] = ['', '', 0, NaN, NaN, false];
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split('\n\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === 'data: [DONE]') {
        ended = true;
        continue;
      }
      const event = JSON.parse(line.slice('data: '.length)) as {
        readonly error?: { readonly message: string };
        readonly choices: readonly { readonly text: string }[];
        readonly usage?: { readonly completion_tokens: number } | null;
      };
      if (event.error) throw new Error(event.error.message);
      if (event.usage) tokens = event.usage.completion_tokens;
      const [choice] = event.choices;
      if (!choice) continue;
      const now = performance.now();
      if (Number.isNaN(before)) firstToken = now - began;
      else gaps.push(now - before);
      before = now;
      text += choice.text;
    }
  }
  if (!ended) throw new Error('the stream ended before its end');
  return { text, tokens, firstToken, gaps };
}

export interface SoakResult {
  readonly streams: number;
  readonly tokens: number;
  /** Streams whose text was another than alone, or that failed, each in words. */
  readonly wrong: readonly string[];
}

/** Runs `clients` loops of streams until `enough` says so, and gives each stream to `seen`. */
export async function soak(
  target: Target,
  expected: ReadonlyMap<Asked, string>,
  clients: number,
  enough: (streams: number) => boolean,
  seen: (stream: Stream) => void = () => {},
): Promise<SoakResult> {
  const list = [...expected.keys()];
  const wrong: string[] = [];
  let [streams, tokens] = [0, 0];
  const client = async (random: SeededRandom): Promise<void> => {
    while (!enough(streams)) {
      const asked = list[random.below(list.length)]!;
      try {
        const stream = await readStream(target, asked);
        streams++;
        tokens += stream.tokens;
        seen(stream);
        if (stream.text !== expected.get(asked)) wrong.push(`${JSON.stringify(asked)} gave "${stream.text}"`);
      } catch (error) {
        streams++;
        wrong.push(`${JSON.stringify(asked)} failed: ${String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, k) => client(seededRandom(1000 + k))));
  return { streams, tokens, wrong };
}

/** What each request gives by itself. */
export async function alone(target: Target, list: readonly Asked[]): Promise<ReadonlyMap<Asked, string>> {
  const texts = new Map<Asked, string>();
  for (const asked of list) texts.set(asked, (await readStream(target, asked)).text);
  return texts;
}

/** When each of the clients left: before a byte came, in the middle of an answer, after its end. */
export interface Leavings {
  before: number;
  during: number;
  after: number;
}

/** `count` requests, `atOnce` at a time, whose connections are dropped at random points. */
export async function leave(target: Target, count: number, atOnce: number, seed: number): Promise<Leavings> {
  const left: Leavings = { before: 0, during: 0, after: 0 };
  const random = seededRandom(seed);
  const list = askedList(20, 100);
  let started = 0;
  const client = async (): Promise<void> => {
    while (started < count) {
      started++;
      const [point, stream] = [random.below(10), random.below(4) > 0];
      // A third at once or a moment later, most of the rest after some bytes, some after all.
      const delay = point < 3 ? random.below(20) : undefined;
      const bytes = point < 8 ? 1 + random.below(stream ? 12_000 : 200) : Infinity;
      left[await drop(target, { ...list[random.below(list.length)]!, stream }, delay, bytes)]++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return left;
}

/** One request, dropped after `delay` milliseconds or when so many bytes have come. */
function drop(target: Target, asked: object, delay: number | undefined, bytes: number): Promise<keyof Leavings> {
  return new Promise((resolve, reject) => {
    const { hostname, port, host } = new URL(target.url);
    const body = JSON.stringify({ model: target.model, ...asked });
    const head = `POST /v1/completions HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\nconnection: close\r\n`;
    const socket = connect(Number(port), hostname);
    let received = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const done = (when: keyof Leavings): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(when);
    };
    socket.on('error', reject);
    socket.on('connect', () => {
      socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
      if (delay !== undefined) timer = setTimeout(() => done(received === 0 ? 'before' : 'during'), delay);
    });
    socket.on('data', (data) => {
      received += data.length;
      if (received >= bytes) done('during');
    });
    socket.on('end', () => done('after'));
  });
}
