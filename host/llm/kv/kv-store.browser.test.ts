import { describe, expect, it } from 'vitest';
import { browserKvStorage, createKvStore, indexedDbStorage } from './kv-store.js';

describe.each([
  ['the file system of the origin', () => browserKvStorage(`kv-${Math.random()}`)],
  ['IndexedDB', () => indexedDbStorage(`kv-${Math.random()}`)],
])('keys and values in %s', (_, open) => {
  it('come back as they were, once, and leave nothing', async () => {
    const storage = await open();
    const store = createKvStore({ hostBytes: 100, storage });
    const data = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) & 255);
    const first = await store.keep(data.slice(0, 60));
    const second = await store.keep(data);
    expect(store).toMatchObject({ hostBytes: 60, storedBytes: 300_000 });
    expect(await second.take()).toEqual(data);
    expect(await first.take()).toEqual(data.slice(0, 60));
    expect(store).toMatchObject({ hostBytes: 0, storedBytes: 0 });
    await expect(storage.read('kv-0')).rejects.toThrow();
    const third = await store.keep(data);
    await third.drop();
    await third.drop();
    expect(store.storedBytes).toBe(0);
    await store.close();
  });
});
