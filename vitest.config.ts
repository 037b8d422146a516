import { defineConfig } from 'vitest/config';
import { assets } from './vitest.assets.js';

export default defineConfig({
  plugins: [assets()],
  test: {
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
          pool: 'forks',
        },
      },
    ],
  },
});
