// `npm run web [-- --port N]`: builds the page into build/page and serves it on this machine, cross-origin isolated so that
// Wasm threads work.
import { copyFileSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';
import sirv from 'sirv';

const here = import.meta.dirname;
const root = join(here, '..', '..');
const out = join(root, 'build', 'page');

export async function buildPage() {
  mkdirSync(out, { recursive: true });
  await esbuild.build({
    absWorkingDir: root,
    entryPoints: [join(here, 'page.ts')],
    outdir: out,
    // The RTL, the compiler and the like are fetched only when they are asked for.
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    // Chunks of dist name each other for their side effects, of which there are none.
    logOverride: { 'ignored-bare-import': 'silent' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'warning',
  });
  for (const [from, to] of [
    [join(here, 'index.html'), 'index.html'],
    [join(here, 'style.css'), 'style.css'],
    [join(root, 'models/mnist/sparse.safetensors'), 'network.safetensors'],
    [join(root, 'models/mnist/t200-images.idx3-ubyte'), 'images.idx'],
    [join(root, 'models/mnist/t200-labels.idx1-ubyte'), 'labels.idx'],
  ]) {
    copyFileSync(from, join(out, to));
  }
}

/** Serves the built page; port 0 takes any free one. Resolves with its address and a way to stop. */
export function servePage(port) {
  const serve = sirv(out, {
    etag: true,
    maxAge: 60,
    setHeaders(response) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    },
  });
  const server = createServer((request, response) =>
    serve(request, response, () => {
      response.statusCode = 404;
      response.end('not found');
    }),
  );
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve({
        url: `http://127.0.0.1:${address.port}/`,
        close: () => new Promise((done) => (server.closeAllConnections(), server.close(done))),
      });
    });
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const at = process.argv.indexOf('--port');
  const port = at < 0 ? 8080 : Number(process.argv[at + 1]);
  await buildPage();
  const { url } = await servePage(port).catch((error) => {
    console.error(
      error.code === 'EADDRINUSE' ? `port ${port} is taken; try npm run web -- --port ${port + 1}` : error.message,
    );
    process.exit(1);
  });
  console.log(`draw a digit at ${url} (Ctrl-C to stop)`);
}
