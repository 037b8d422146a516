/**
 * Points Dawn at Debian Chromium's SwiftShader when the machine has no Vulkan driver of its own, so that WebGPU tests run
 * (and fail, never skip) on a machine without a GPU. Must run before the first `import('webgpu')`.
 */
import { existsSync } from 'node:fs';

const swiftshader = '/usr/lib/chromium/vk_swiftshader_icd.json';
if (process.env.VK_DRIVER_FILES === undefined && existsSync(swiftshader)) {
  process.env.VK_DRIVER_FILES = swiftshader;
  process.env.VK_ICD_FILENAMES = swiftshader;
  process.env.XDG_RUNTIME_DIR ??= '/tmp';
}
