import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPrefixCache, type Content, type PinnedSpan } from './prefix-cache.js';

describe('the prefix cache of a simulated node', () => {
  it('takes what it said that it would, and gives all of it back', () => {
    const step = fc.record({
      path: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
      most: fc.integer({ min: 1, max: 160 }),
      release: fc.boolean(),
      shrink: fc.option(fc.nat(6)),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const cache = createPrefixCache(16);
        const contents = new Map<string, Content>();
        const contentOf = (path: readonly number[]): Content | undefined => {
          if (path.length === 0) return undefined;
          const name = path.join();
          const below = contentOf(path.slice(0, -1));
          const from = below?.end ?? 0;
          let content = contents.get(name);
          // Segments whose ends are no blocks' ends.
          if (!content)
            contents.set(name, (content = { key: contents.size, below, from, end: from + 9 + 14 * path.at(-1)! }));
          return content;
        };
        const held: (PinnedSpan | undefined)[] = [];
        for (const { path, most, release, shrink } of steps) {
          const content = contentOf(path);
          const said = cache.pinCost(content, most, true);
          const before = cache.pinnedBlocks;
          const { span } = cache.pin(content, most, true);
          expect(cache.pinnedBlocks - before).toBe(said.blocks);
          expect(span?.end ?? 0).toBe(said.end);
          held.push(span);
          if (release) cache.unpin(held.shift());
          if (shrink !== null) cache.shrinkTo(shrink);
        }
        for (const span of held) cache.unpin(span);
        expect(cache.pinnedBlocks).toBe(0);
        cache.shrinkTo(0);
        expect(cache.idleBlocks).toBe(0);
      }),
    );
  });
});
