import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createWasmDevice } from '../../index.js';
import { bytesSource } from '../byte-source.js';
import { openLanguageModel, type LanguageModel } from './engine.js';
import { createModelHost } from './model-host.js';

const file = bytesSource(new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf')));

async function textOf(model: LanguageModel): Promise<string> {
  let text = '';
  for await (const token of model.generate({ prompt: 'Tom', maxTokens: 12 })) text += token.text;
  return text;
}

describe('several models on one device', () => {
  it('make room for each other, the one that was used longest ago first, and give the same text from wherever they come', async () => {
    const roomy = await createWasmDevice({ threads: 1 });
    const one = await openLanguageModel(file, { device: roomy, blocks: 32 });
    await textOf(one);
    const bytes = roomy.memory.peak;
    await one.close();
    await roomy.close();
    // Room for two of them.
    const device = await createWasmDevice({ threads: 1, memoryBudget: Math.ceil(2.5 * bytes) });
    const host = createModelHost();
    for (const name of ['a', 'b', 'c']) host.add(name, file, { device, blocks: 32 });
    expect(() => host.add('a', file, { device })).toThrow(/there is a model "a" already/);
    const places = (): string => host.models.map(({ name, place }) => `${name} ${place}`).join(', ');
    expect(places()).toBe('a file, b file, c file');
    const a = await host.use('a');
    const expected = await textOf(a.model);
    const b = await host.use('b');
    await expect(host.use('c')).rejects.toMatchObject({ code: 'MEMORY_REFUSED' });
    expect(places()).toBe('a device, b device, c file');
    a.release();
    a.release();
    const c = await host.use('c');
    expect(places()).toBe('a host, b device, c device');
    expect(await textOf(c.model)).toBe(expected);
    await expect(host.park('c')).rejects.toThrow(/c is in use/);
    b.release();
    const again = await host.use('a');
    expect(places()).toBe('a device, b host, c device');
    expect(await textOf(again.model)).toBe(expected);
    expect(host.models[0]!.loadTimes).toMatchObject({
      host: expect.any(Number) as number,
      file: expect.any(Number) as number,
    });
    expect(host.models[1]!.hostBytes).toBeGreaterThan(1e6);
    await host.unload('b');
    expect(places()).toBe('a device, b file, c device');
    await expect(host.use('d')).rejects.toThrow(/no model "d"; there are a, b, c/);
    again.release();
    c.release();
    await host.close();
    expect(device.memory.inUse).toBe(0);
    await device.close();
  });

  it('stay in their files where host memory has no room', async () => {
    const device = await createWasmDevice({ threads: 1 });
    const host = createModelHost({ hostBytes: 1000 });
    host.add('a', file, { device });
    (await host.use('a')).release();
    await host.park('a');
    expect(host.models).toMatchObject([{ place: 'file', hostBytes: 0, active: 0 }]);
    await host.close();
    await device.close();
  });
});
