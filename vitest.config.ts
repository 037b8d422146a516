import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { chromiumOptions } from './test/setup/chromium.js';
import { assets } from './vitest.assets.js';

export default defineConfig({
  plugins: [assets()],
  test: {
    // Two cores are what CI has; WebGPU on a software rasteriser takes more than one of them by itself.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          environment: 'node',
          include: ['host/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['**/*.browser.test.ts'],
          setupFiles: ['test/setup/webgpu-node.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          pool: 'forks',
        },
      },
      {
        extends: true,
        // Cross-origin isolation: without these two headers a page has no SharedArrayBuffer, hence no Wasm threads.
        server: {
          headers: {
            'Cross-Origin-Opener-Policy': 'same-origin',
            'Cross-Origin-Embedder-Policy': 'require-corp',
          },
        },
        // Named here, not found out in mid-run: Vite reloads the page whenever it meets a dependency that it has not bundled.
        optimizeDeps: { include: ['fast-check', 'tinyqueue', '@huggingface/jinja'] },
        test: {
          name: 'browser',
          include: ['host/**/*.browser.test.ts', 'test/**/*.browser.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: chromiumOptions }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
});
