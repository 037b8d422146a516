/** Many streams at once, and clients that leave at random points: a short run of what `npm run bench:serve` does for minutes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { alone, askedList, leave, soak, type Target } from '../../bench/system/serve-clients.js';
import { MODEL, storiesServer, until, type StoriesServer } from './fixture.js';

let stories: StoriesServer;
let target: Target;
beforeAll(async () => {
  // A pool that is too small for all: sequences give way to each other while they stream.
  stories = await storiesServer({ limits: { running: 100 } }, { blocks: 96, batchSequences: 32 });
  target = { url: stories.server.url, model: MODEL };
});
afterAll(() => stories?.close());

it('200 clients lose and mix no token', async () => {
  const expected = await alone(target, askedList(25, 60));
  const { streams, wrong } = await soak(target, expected, 200, (count) => count >= 300);
  expect(wrong).toEqual([]);
  expect(streams).toBeGreaterThanOrEqual(300);
  await until(() => stories.model.usage.running === 0 && stories.server.running === 0);
  expect(stories.model.usage.usedBlocks).toBe(0);
});

it('clients that leave before, in and after their answers leave no block', async () => {
  const left = await leave(target, 250, 40, 3);
  expect(left.before).toBeGreaterThan(0);
  expect(left.during).toBeGreaterThan(0);
  expect(left.after).toBeGreaterThan(0);
  await until(() => stories.model.usage.running === 0 && stories.server.running === 0 && stories.server.waiting === 0);
  expect(stories.model.usage.usedBlocks).toBe(0);
  expect(stories.log.filter(({ status }) => status === 500)).toEqual([]);
});
