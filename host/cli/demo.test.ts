import { expect, it } from 'vitest';
import { runDemo } from './demo.js';

it('the demo classifies the bundled digits on every backend alike, and shows it', async () => {
  const lines: string[] = [];
  const result = await runDemo('sparse', (text) => void lines.push(text));
  expect(result).toMatchObject({ images: 200, synapses: 19_998, agreement: true });
  expect(result.backends.map((b) => b.backend)).toContain('WebGPU');
  for (const backend of result.backends) {
    expect(backend.available, `${backend.backend}: ${backend.why}`).toBe(true);
    expect(backend.accuracy).toBeGreaterThanOrEqual(0.97);
    expect(backend.microsecondsPerImage).toBeGreaterThan(0);
    expect(backend.labels).toHaveLength(200);
  }
  expect(result.confusion.flat().reduce((a, b) => a + b, 0)).toBe(200);
  const text = lines.join('\n');
  expect(text).toMatch(/accuracy.*µs \/ image.*synaptic events/);
  expect(text).toMatch(/every backend gave every image the same label/);
  expect(text).toMatch(/[\u2801-\u28ff]/); // spikes in the raster
  const { stages, nodes, workflows } = result.agents.report;
  expect(workflows).toMatchObject({ open: 0, shed: 0 });
  expect(stages.every(({ outcome, tokens }) => outcome === 'ended' && tokens > 0)).toBe(true);
  expect(nodes.map(({ usedBytes }) => usedBytes)).toEqual([0, 0]);
  expect(text).toMatch(/role.*predicted.*came/);
  expect(text).toMatch(/node-1 +│.*[pcrw]/);
});
