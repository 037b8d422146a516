import { expect, it } from 'vitest';
import { createFpgaDevice } from '../../host/fpga/create-fpga-device.js';
import { expected, run, work } from './program-work.js';

it('the RTL twin runs in a page as it does in Node', async () => {
  const device = await createFpgaDevice();
  for (const seed of [1, 2, 3]) {
    const job = work(device.capabilities.machine!, seed, 2);
    expect(await run(device, job), `seed ${seed}`).toEqual(await expected(job));
  }
  await device.close();
});
