/**
 * Finds WebGPU: `navigator.gpu` in browsers, the optional peer package `webgpu` (Dawn) in Node. Where Node finds no
 * driver, Chromium's SwiftShader is used if Debian's chromium is installed, and reported as software.
 */
import { TuttiError } from '../errors.js';

export type SoftwareChoice = 'auto' | 'never' | 'only';

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly notices: readonly string[];
}

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

interface NodeProcess {
  readonly env: Record<string, string | undefined>;
  readonly versions?: { readonly node?: string };
}

const nodeProcess = (): NodeProcess | undefined => {
  const host = (globalThis as { process?: NodeProcess }).process;
  return host?.versions?.node === undefined ? undefined : host;
};

/**
 * Dawn frees its instance when the GPU object is collected, whatever adapters are alive: hold them for good. One serves all
 * devices that are opened with the same driver files, which an instance reads once.
 */
const instances = new Map<string, GPU>();

/** Specifiers are computed so that bundlers for browsers leave these Node-only imports alone. */
const importNode = (name: string): Promise<unknown> => import(/* @vite-ignore */ /* webpackIgnore: true */ name);

async function dawn({ env }: NodeProcess): Promise<GPU> {
  let module: { create(options: string[]): GPU };
  try {
    module = (await importNode(['web', 'gpu'].join(''))) as typeof module;
  } catch (cause) {
    throw new TuttiError(
      'DEVICE_UNAVAILABLE',
      'the optional package "webgpu" is not installed; `npm install webgpu` adds WebGPU to Node',
      { cause },
    );
  }
  const drivers = `${env['VK_DRIVER_FILES']}:${env['VK_ICD_FILENAMES']}`;
  let gpu = instances.get(drivers);
  if (!gpu) instances.set(drivers, (gpu = module.create([])));
  return gpu;
}

async function fileExists(path: string): Promise<boolean> {
  const fs = (await importNode(['node', 'fs'].join(':'))) as { existsSync(path: string): boolean };
  return fs.existsSync(path);
}

/** An adapter is used up by requestDevice, so each device asks for its own. @throws TuttiError DEVICE_UNAVAILABLE, saying why and what to do. */
export async function findAdapter(options: {
  readonly software: SoftwareChoice;
  readonly powerPreference?: GPUPowerPreference | undefined;
}): Promise<FoundAdapter> {
  const request = options.powerPreference === undefined ? {} : { powerPreference: options.powerPreference };
  const node = nodeProcess();
  if (!node || (globalThis as { navigator?: Navigator }).navigator?.gpu) {
    const gpu = (globalThis as { navigator?: Navigator }).navigator?.gpu;
    if (!gpu) {
      throw new TuttiError(
        'DEVICE_UNAVAILABLE',
        (globalThis as { isSecureContext?: boolean }).isSecureContext === false
          ? 'WebGPU needs a secure context; serve the page over https or from localhost'
          : 'this browser has no WebGPU (navigator.gpu); use a current Chrome, Edge, Firefox or Safari',
      );
    }
    const adapter = await gpu.requestAdapter(request);
    if (!adapter)
      throw new TuttiError(
        'DEVICE_UNAVAILABLE',
        'this browser has WebGPU but no adapter: the GPU is blocked or has no driver',
      );
    return accept(adapter, options.software, []);
  }
  // Vulkan loaders complain on standard error where it is missing.
  node.env['XDG_RUNTIME_DIR'] ??= '/tmp';
  const preset = node.env['VK_DRIVER_FILES'] ?? node.env['VK_ICD_FILENAMES'];
  const canFallBack = options.software !== 'never' && preset === undefined && (await fileExists(SWIFTSHADER));
  if (options.software !== 'only' || !canFallBack) {
    const adapter = await (await dawn(node)).requestAdapter(request);
    if (adapter) return accept(adapter, options.software, []);
  }
  if (!canFallBack) {
    throw new TuttiError(
      'DEVICE_UNAVAILABLE',
      preset === undefined
        ? 'WebGPU found no adapter: no Vulkan, Metal or D3D12 driver, and no SwiftShader of Debian’s chromium package to fall back on'
        : `WebGPU found no adapter with the Vulkan driver file that the environment names (${preset})`,
    );
  }
  node.env['VK_DRIVER_FILES'] = SWIFTSHADER;
  node.env['VK_ICD_FILENAMES'] = SWIFTSHADER;
  const adapter = await (await dawn(node)).requestAdapter(request);
  if (!adapter) {
    throw new TuttiError(
      'DEVICE_UNAVAILABLE',
      `WebGPU found no adapter, not even SwiftShader (${SWIFTSHADER}); is libvulkan1 installed?`,
    );
  }
  return accept(adapter, options.software, ['no GPU driver was found; running on SwiftShader, a software GPU']);
}

function accept(adapter: GPUAdapter, software: SoftwareChoice, notices: readonly string[]): FoundAdapter {
  if (software === 'never' && isSoftware(adapter)) {
    throw new TuttiError(
      'DEVICE_UNAVAILABLE',
      `the only WebGPU adapter is software (${describeAdapter(adapter)}), and software: 'never' was asked for`,
    );
  }
  if (software === 'only' && !isSoftware(adapter)) {
    throw new TuttiError(
      'DEVICE_UNAVAILABLE',
      `the WebGPU adapter is hardware (${describeAdapter(adapter)}), and software: 'only' was asked for`,
    );
  }
  return { adapter, notices };
}

export function isSoftware(adapter: GPUAdapter): boolean {
  const info = adapter.info;
  const fallback = (info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  return fallback || /swiftshader|lavapipe|llvmpipe/i.test(`${info.device} ${info.description} ${info.architecture}`);
}

export function describeAdapter(adapter: GPUAdapter): string {
  const { vendor, architecture, device, description } = adapter.info;
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'unnamed adapter';
}
