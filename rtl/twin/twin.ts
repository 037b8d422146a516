/**
 * `npm run rtl:twin`: compiles the RTL of the default machine to rtl/twin/tutti_machine.wasm, which is committed. With
 * `-- --machine spus=8,ports=2 --out FILE`, another machine to another file.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { brotliCompressSync } from 'node:zlib';
import { parseMachine } from '../../host/cli/snn/machine-option.js';
import { buildTwin, TWIN, TWIN_SOURCES, twinHash } from './build-twin.js';

const { values } = parseArgs({ options: { machine: { type: 'string' }, out: { type: 'string' } } });
if (values.machine !== undefined && values.out === undefined) {
  throw new Error('--machine needs --out: only the default machine has its place in the repository');
}
const machine = parseMachine(values.machine);
const bytes = await buildTwin(machine);
const out = values.out ?? TWIN;
writeFileSync(out, bytes);
if (values.out === undefined) {
  writeFileSync(TWIN_SOURCES, `${JSON.stringify({ sources: twinHash(machine), machine }, null, 2)}\n`);
}
console.log(`${out}: ${bytes.length} bytes, ${brotliCompressSync(bytes).length} with brotli`);
