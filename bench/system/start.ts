/** What a user waits for: importing the package in Node, and the first result in the browser page. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median, type BenchContext } from '../report.js';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

export async function benchStart({ quick, say, table, bar }: BenchContext): Promise<void> {
  const program = "const t = performance.now(); await import('tutti/snn'); console.log(performance.now() - t)";
  const imports = Array.from({ length: quick ? 5 : 15 }, () =>
    Number(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })),
  );
  const rows: (string | number | undefined)[][] = [["import 'tutti/snn' in Node", median(imports)]];
  bar("import 'tutti/snn' in Node", '<=', 60, median(imports), 'ms');

  let first: number | undefined;
  if (existsSync(CHROMIUM)) first = await firstResult(quick ? 3 : 7);
  else say(`no Chromium at ${CHROMIUM}: the page was not measured`);
  rows.push(['first result in the page, warm HTTP cache', first]);
  bar('first result in the browser page, warm HTTP cache', '<=', 1500, first, 'ms');
  table({
    title: 'Start',
    columns: ['what', 'ms'],
    rows,
    note: 'medians; the page from navigation start to the first classified digit, in headless Chromium',
  });
}

async function firstResult(repeats: number): Promise<number> {
  const { chromium } = await import('playwright');
  const { buildPage, servePage } = (await import(pathToFileURL(resolve('examples/digits/serve.mjs')).href)) as {
    buildPage(): Promise<void>;
    servePage(port: number): Promise<{ url: string; close(): Promise<void> }>;
  };
  await buildPage();
  const server = await servePage(0);
  const { chromiumOptions } = await import('../../test/setup/chromium.js');
  const browser = await chromium.launch(chromiumOptions);
  try {
    const page = await browser.newPage();
    const times: number[] = [];
    await page.goto(server.url);
    for (let i = 0; i <= repeats; i++) {
      await page.waitForSelector('body[data-first-result]');
      const time = Number(await page.getAttribute('body', 'data-first-result'));
      if (i > 0) times.push(time);
      await page.reload();
    }
    return median(times);
  } finally {
    await browser.close();
    await server.close();
  }
}
