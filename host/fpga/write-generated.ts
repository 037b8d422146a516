/** `npm run fpga:generate`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { generatedFiles } from './generate.js';

for (const [path, content] of generatedFiles((path) => readFileSync(path, 'utf8'))) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
