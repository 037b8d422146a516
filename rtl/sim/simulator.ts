/** `npm run rtl:sim [-- --machine spus=8,ports=2] [--trace] [--assertions]`: builds the native simulator and prints its path. */
import { parseArgs } from 'node:util';
import { parseMachine } from '../../host/cli/snn/machine-option.js';
import { buildSimulator } from './build-simulator.js';

const { values } = parseArgs({
  options: {
    machine: { type: 'string' },
    trace: { type: 'boolean', default: false },
    assertions: { type: 'boolean', default: false },
  },
});
console.log(await buildSimulator(parseMachine(values.machine), values));
