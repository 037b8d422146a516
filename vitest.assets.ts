/** Vite plugin that gives .wgsl and .wasm imports the meaning they have in the bundles: text, and embedded bytes. */
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

export function assets(): Plugin {
  return {
    name: 'tutti-assets',
    enforce: 'pre',
    load(id) {
      const path = id.split('?')[0]!;
      if (path.endsWith('.wgsl')) return `export default ${JSON.stringify(readFileSync(path, 'utf8'))};`;
      if (path.endsWith('.wasm')) {
        const base64 = readFileSync(path).toString('base64');
        return `export default Uint8Array.from(atob(${JSON.stringify(base64)}), (c) => c.charCodeAt(0));`;
      }
      return undefined;
    },
  };
}
