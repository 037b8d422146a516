/** The packaged stories model on nodes of Wasm, and what it answers alone. */
import { readFileSync } from 'node:fs';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { bytesSource } from '../../host/llm/byte-source.js';
import { openLanguageModel } from '../../host/llm/engine/engine.js';
import type { TextChunk, TextRequest } from '../../host/llm/engine/text-engine.js';
import type { Action, Policy, Snapshot } from '../../host/maestro/decision.js';

export const source = bytesSource(new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf')));
/** Bytes of a token's keys and values: 5 layers, 4 heads of 8, f32. */
export const TOKEN_BYTES = 2 * 5 * 4 * 8 * 4;

export const wasm = (memoryBudget?: number): Promise<Device> =>
  createWasmDevice({ threads: 1, ...(memoryBudget !== undefined && { memoryBudget }) });

export const OPENINGS = [
  ...['Once upon a time', 'The dog', 'Lily and Tom', 'A big red ball', 'One day, a boy', 'The sun was'],
  ...['There was a cat', 'Mom said', 'In the park', 'The little bird', 'Sam had a toy', 'It was dark'],
];

/** What the engine gives without a scheduler. */
export async function alone(requests: readonly TextRequest[]): Promise<string[]> {
  const device = await wasm();
  const model = await openLanguageModel(source, { device, blocks: 2000 });
  const texts = await Promise.all(requests.map((request) => textOf(model.generate(request))));
  await model.close();
  await device.close();
  return texts;
}

export async function textOf(chunks: AsyncIterable<TextChunk>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk.text;
  return text;
}

/** Another policy, whose actions `instead` may replace once it has seen the same. */
export function policyWith(
  policy: Policy,
  instead: (snapshot: Snapshot) => readonly Action[] | undefined,
): Policy & { readonly seen: Snapshot['changes'][number][] } {
  const seen: Snapshot['changes'][number][] = [];
  return {
    name: `${policy.name} in a test`,
    seen,
    decide(snapshot) {
      seen.push(...snapshot.changes);
      const own = policy.decide(snapshot);
      return instead(snapshot) ?? own;
    },
  };
}

/** Bytes that the model takes on a device with so many blocks, at its peak. */
export async function bytesWith(blocks: number): Promise<number> {
  const device = await wasm();
  const model = await openLanguageModel(source, { device, blocks });
  for await (const chunk of model.generate({ prompt: 'Tom', maxTokens: 4 })) void chunk;
  await model.close();
  const { peak } = device.memory;
  await device.close();
  return peak;
}
