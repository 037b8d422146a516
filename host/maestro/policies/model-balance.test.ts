import { describe, expect, it } from 'vitest';
import type { NodeView } from '../decision.js';
import { balanceModels, type ModelDemand } from './model-balance.js';

const GB = 1e9;
const weights = [16 * GB, 6 * GB];

/** Nodes of 36 GB that hold the models named; an iteration reads weights at 1 TB/s and keys and values of 100 kB a token. */
function cluster(holds: readonly (readonly number[])[], alive = () => true): NodeView[] {
  return holds.map((own, index) => ({
    ...{ index, name: `n${index}`, alive: alive(), seenAt: 0, running: 0, slots: 64, prefillTokens: 0 },
    ...{ chunkTokens: 1024, contextTokens: 0, deviceBytes: 36 * GB, committedBytes: 0, idleBytes: 0 },
    weightBytes: own.reduce((sum, k) => sum + weights[k]!, 0),
    models: weights.map((_, k) => ({
      ...{ place: own.includes(k) ? 'device' : 'host', readySeconds: 0, running: 0, usedAt: 0 },
    })),
    ...{ networkSeconds: 0, hostBytesPerSecond: 25 * GB, linkBytesPerSecond: 1 * GB },
    prefillRate: () => 10_000,
    iterationSeconds: (model, _sequences, context) => 0.002 + (weights[model]! + context * 1e5) / 1e12,
    ...{ cachedTokens: () => 0, pinnedTokens: () => 0 },
  }));
}

const none: ModelDemand = { sequences: 0, context: 0, prompt: 0, answer: 1, bytes: 0 };
const asked = (sequences: number, context = 4000): ModelDemand => ({
  ...{ sequences, context, prompt: 1000, answer: 400, bytes: context * 1e5 },
});
const idle = (): boolean => false;

describe('the balance of models', () => {
  it('adds a copy of what is asked for to a node with little to do', () => {
    const nodes = cluster([[0], [1], [0]]);
    expect(balanceModels({ nodes, weights, demand: [asked(0.5), asked(60)], busy: idle })).toMatchObject({
      ...{ model: 1, kind: 'add' },
    });
  });

  it('takes weights away where others need the memory, and never the last copy', () => {
    const nodes = cluster([
      [0, 1],
      [0, 1],
    ]);
    const change = balanceModels({ nodes, weights, demand: [asked(0.2), asked(80, 6000)], busy: idle });
    expect(change).toMatchObject({ model: 0, kind: 'remove' });
    const one = cluster([[0, 1], [1]]);
    const then = balanceModels({ nodes: one, weights, demand: [asked(0.2), asked(80, 6000)], busy: idle });
    expect(then).not.toMatchObject({ model: 0, kind: 'remove' });
  });

  it('leaves things as they are when nothing is asked for, nothing would be gained, or nodes are busy', () => {
    const nodes = cluster([
      [0, 1],
      [0, 1],
    ]);
    expect(balanceModels({ nodes, weights, demand: [none, none], busy: idle })).toBeUndefined();
    expect(balanceModels({ nodes, weights, demand: [asked(1), asked(1)], busy: idle })).toBeUndefined();
    const lopsided = cluster([[0], [1], [0]]);
    expect(balanceModels({ nodes: lopsided, weights, demand: [none, asked(60)], busy: () => true })).toBeUndefined();
  });

  it('does not give what does not fit, and nothing to the dead', () => {
    const nodes = cluster([[0], [1]]).map((node) => ({ ...node, deviceBytes: 20 * GB }));
    const change = balanceModels({ nodes, weights, demand: [asked(20), asked(60)], busy: idle });
    expect(change?.kind === 'add').toBe(false);
    const dead = cluster([[1], [0]]).map((node, k) => ({ ...node, alive: k === 0 }));
    expect(balanceModels({ nodes: dead, weights, demand: [none, asked(60)], busy: idle })?.node).not.toBe(1);
  });

  it('looks at all parts of a large cluster, one after the other', () => {
    const nodes = cluster(Array.from({ length: 64 }, (_, k) => (k % 8 === 0 ? [1] : [0])));
    const seen = new Set<number>();
    for (let round = 0; round < 16; round++) {
      const change = balanceModels({ nodes, weights, demand: [asked(2), asked(600)], busy: idle }, round);
      if (change) seen.add(change.node);
    }
    expect(seen.size).toBeGreaterThan(5);
  });
});
