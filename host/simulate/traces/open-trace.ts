/** Traces from bytes or files, whichever of the known formats they have, packed with gzip or not. */
import { TuttiError } from '../../errors.js';
import { importBuiltin } from '../../node-import.js';
import { readAgentSessions } from './agent-sessions.js';
import { readAzureTrace } from './azure.js';
import { readChatDevTrace } from './chatdev.js';
import { readMooncakeTrace } from './mooncake.js';
import type { Trace, TraceOptions } from './trace.js';

export type TraceFormat = 'azure' | 'mooncake' | 'agent-sessions' | 'chatdev';

const readers: Readonly<Record<TraceFormat, (text: string, options: TraceOptions) => Trace>> = {
  azure: readAzureTrace,
  mooncake: readMooncakeTrace,
  'agent-sessions': readAgentSessions,
  chatdev: readChatDevTrace,
};

export interface OpenTraceOptions extends TraceOptions {
  /** Default: told by the first line. */
  readonly format?: TraceFormat;
}

/** @throws TuttiError FILE_INVALID when the bytes are damaged or of no known format */
export async function readTrace(bytes: Uint8Array, options: OpenTraceOptions = {}): Promise<Trace> {
  const name = options.name ?? 'trace';
  const text = await unpackText(bytes, name);
  const format = options.format ?? formatOf(text);
  if (!format || !(format in readers)) {
    throw new TuttiError(
      'FILE_INVALID',
      `${name} is no trace that is known: neither an Azure CSV nor JSON lines of Mooncake, agent sessions or ChatDev; name its format`,
      { where: name },
    );
  }
  return readers[format](text, { name });
}

/** In Node. @throws TuttiError FILE_INVALID */
export async function openTrace(path: string, options: OpenTraceOptions = {}): Promise<Trace> {
  const { readFile } = await importBuiltin<typeof import('node:fs/promises')>(
    'fs/promises',
    'openTrace',
    'fetch the bytes and use readTrace',
  );
  const name = options.name ?? path.split(/[\\/]/).at(-1)!;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new TuttiError('FILE_INVALID', `${path} cannot be read; check the path`, { where: path, cause });
  }
  return readTrace(bytes, { ...options, name });
}

function formatOf(text: string): TraceFormat | undefined {
  const first = text.slice(0, 4096);
  if (first.includes('ContextTokens')) return 'azure';
  if (first.includes('"hash_ids"')) return 'mooncake';
  if (first.includes('"completionTokens"')) return 'chatdev';
  return first.includes('"requests"') ? 'agent-sessions' : undefined;
}

async function unpackText(bytes: Uint8Array, name: string): Promise<string> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return new TextDecoder().decode(bytes);
  try {
    const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'));
    return await new Response(stream).text();
  } catch (cause) {
    throw new TuttiError('FILE_INVALID', `${name} begins like gzip and cannot be unpacked; it is damaged or cut off`, {
      where: name,
      cause,
    });
  }
}
