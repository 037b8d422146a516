/** The README's first program, as a reader would paste it, on the built package. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('the first program of the README runs', () => {
  const program = /```ts\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))![1]!;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  const [label, events] = output.trim().split(' ').map(Number);
  expect(label).toBe(0);
  expect(events).toBeGreaterThan(50);
});
