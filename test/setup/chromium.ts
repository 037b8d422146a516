/**
 * The browser of the tests: Debian's Chromium, or the one that CHROMIUM_PATH names, with WebGPU on its software rasteriser.
 * Where it is missing the launch fails, and so do the tests.
 */
export const chromiumOptions = {
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--enable-unsafe-webgpu',
    // TUTTI_TEST_GPU=1 takes the adapter that the browser itself prefers.
    ...(process.env.TUTTI_TEST_GPU === '1' ? [] : ['--use-webgpu-adapter=swiftshader']),
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
    '--disable-quic',
  ],
};
