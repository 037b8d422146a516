/**
 * Points Dawn at the SwiftShader of Debian's Chromium, so that WebGPU tests run (and fail, never skip) on a machine without
 * a GPU. TUTTI_TEST_GPU=1, or a driver that VK_DRIVER_FILES names, runs them on what is there instead. Must run before the
 * first `import('webgpu')`.
 */
import { existsSync } from 'node:fs';

const swiftshader = '/usr/lib/chromium/vk_swiftshader_icd.json';
const wantsGpu = process.env.TUTTI_TEST_GPU === '1' || process.env.VK_DRIVER_FILES !== undefined;
if (!wantsGpu && existsSync(swiftshader)) {
  process.env.VK_DRIVER_FILES = swiftshader;
  process.env.VK_ICD_FILENAMES = swiftshader;
  process.env.XDG_RUNTIME_DIR ??= '/tmp';
}
