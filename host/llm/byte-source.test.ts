import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { fileSource, urlSource } from './byte-source.js';
import { openGguf } from './model/model-file.js';

const path = 'models/stories260k/stories260k-f32.gguf';
const file = readFileSync(path);
let server: Server | undefined;
afterEach(() => server?.close());

/** A server that answers ranges of the file, unless `answer` says otherwise. */
async function serve(answer: 'ranges' | 'whole' | 'short' | 'no size' | 'missing'): Promise<string> {
  server = createServer((request, response) => {
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
    const part = file.subarray(Number(first), Number(last) + 1);
    const size = answer === 'no size' ? '*' : file.length;
    if (answer === 'missing') response.writeHead(404).end();
    else if (answer === 'whole') response.writeHead(200).end(file);
    else
      response
        .writeHead(206, { 'content-range': `bytes ${first}-${last}/${size}` })
        .end(answer === 'short' && part.length > 1 ? part.subarray(1) : part);
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`;
}

describe('a model on a server', () => {
  it('is read piece by piece, and the same as the file', async () => {
    const remote = await openGguf(await urlSource(await serve('ranges')));
    const local = await openGguf(await fileSource(path));
    expect(remote.config).toEqual({ ...local.config });
    for (const [name, tensor] of local.tensors)
      expect(await remote.tensors.get(name)!.read()).toEqual(await tensor.read());
    await local.close();
    await remote.close();
  });

  it('says what the server does wrong', async () => {
    await expect(urlSource(await serve('missing'))).rejects.toThrow(
      /answered 404 to a range request; it must answer 206/,
    );
    server!.close();
    await expect(urlSource(await serve('whole'))).rejects.toThrow(/answered 200 to a range request/);
    server!.close();
    await expect(urlSource(await serve('no size'))).rejects.toThrow(/does not say how large it is/);
    server!.close();
    const short = await urlSource(await serve('short'));
    await expect(short.read(0, 100)).rejects.toThrow(/bytes 0 \.\. 100 were asked for, but 99 came/);
    await expect(short.read(file.length - 5, 10)).rejects.toThrow(/the file is cut short/);
    server!.close();
    await expect(urlSource('http://127.0.0.1:9/none')).rejects.toThrow(/cannot be fetched/);
  });
});

describe('a file that is not there', () => {
  it('is named', async () => {
    await expect(fileSource('/nowhere/model.gguf')).rejects.toThrow(/\/nowhere\/model\.gguf cannot be opened/);
  });
});
