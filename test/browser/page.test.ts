/** The page of examples/digits in a real Chromium: drawn on, switched between backends, on a desktop and on a phone. */
import { mkdirSync } from 'node:fs';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPage, servePage, type PageServer } from '../../examples/digits/serve.mjs';
import { chromiumOptions } from '../setup/chromium.js';

const SHOTS = 'test-results';
let browser: Browser;
let server: PageServer;

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true });
  await buildPage();
  server = await servePage(0);
  browser = await chromium.launch(chromiumOptions);
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens the page, waits for its first result, and collects what it complains of. */
async function open(options: BrowserContextOptions): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(server.url);
  await page.waitForSelector('body[data-first-result]');
  return { page, complaints };
}

const answer = (page: Page): Promise<string> => page.innerText('#digit');
const potentials = (page: Page): Promise<(string | undefined)[]> =>
  page.$$eval('#votes li', (rows) => rows.map((row) => (row as HTMLElement).dataset['potential']));

/** Draws strokes given in pad coordinates 0..1, one mouse move after the other. */
async function draw(page: Page, strokes: readonly (readonly (readonly [number, number])[])[]): Promise<void> {
  await page.click('#clear');
  const box = (await (await page.$('#pad'))!.boundingBox())!;
  for (const stroke of strokes) {
    const at = ([x, y]: readonly [number, number]): [number, number] => [box.x + x * box.width, box.y + y * box.height];
    await page.mouse.move(...at(stroke[0]!));
    await page.mouse.down();
    for (const point of stroke.slice(1)) await page.mouse.move(...at(point), { steps: 8 });
    await page.mouse.up();
  }
}

const ONE = [
  [
    [0.52, 0.15],
    [0.5, 0.85],
  ],
] as const;
const ZERO = [
  Array.from({ length: 25 }, (_, i): [number, number] => [
    0.5 + 0.2 * Math.sin((i / 24) * 2 * Math.PI),
    0.5 - 0.32 * Math.cos((i / 24) * 2 * Math.PI),
  ]),
];
const SEVEN = [
  [
    [0.28, 0.2],
    [0.72, 0.2],
    [0.45, 0.85],
  ],
] as const;

describe('the digit page', () => {
  it('classifies a sample by itself, then what is drawn, on every backend alike', async () => {
    const { page, complaints } = await open({ viewport: { width: 1280, height: 960 } });
    expect(await page.evaluate(() => globalThis.crossOriginIsolated)).toBe(true);
    expect(await answer(page)).toBe(await page.getAttribute('body', 'data-sample'));
    await page.waitForTimeout(800); // the animation of the raster
    await page.screenshot({ path: `${SHOTS}/page-desktop.png`, fullPage: true });

    for (const [strokes, digit] of [
      [ONE, '1'],
      [ZERO, '0'],
      [SEVEN, '7'],
    ] as const) {
      await draw(page, strokes);
      await expect.poll(() => answer(page), { timeout: 10_000 }).toBe(digit);
    }
    await page.waitForTimeout(800);
    await page.screenshot({ path: `${SHOTS}/page-drawn.png`, fullPage: true });

    const wasm = await potentials(page);
    expect(wasm.filter((value) => value !== undefined)).toHaveLength(10);
    for (const backend of ['wasm-threads', 'webgpu', 'fpga', 'wasm']) {
      await page.waitForSelector(`#backend option[value=${backend}]:not([disabled])`, { state: 'attached' });
      await page.selectOption('#backend', backend);
      await expect.poll(() => page.getAttribute('body', 'data-answered'), { timeout: 20_000 }).toBe(`${backend} 7`);
      expect(await potentials(page), backend).toEqual(wasm);
      if (backend !== 'fpga') continue;
      expect(await page.innerText('#cycles')).toMatch(/^\d{3,4}, \d+\.\d µs at 100 MHz$/);
      await page.screenshot({ path: `${SHOTS}/page-rtl.png`, fullPage: true });
    }

    await page.click('#clear');
    expect(await answer(page)).toBe('–');
    await page.click('#sample');
    await expect.poll(() => answer(page)).toMatch(/^\d$/);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('fits a phone, in the dark too, and takes touches', async () => {
    const { page, complaints } = await open({
      viewport: { width: 360, height: 740 },
      deviceScaleFactor: 2,
      hasTouch: true,
      isMobile: true,
      colorScheme: 'dark',
    });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
    await page.waitForTimeout(800);
    await page.screenshot({ path: `${SHOTS}/page-phone.png`, fullPage: true });
    await page.click('#clear');
    const box = (await (await page.$('#pad'))!.boundingBox())!;
    await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
    await expect.poll(() => answer(page)).toMatch(/^\d$/);
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});
