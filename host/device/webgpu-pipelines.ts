/** Compute pipelines of one GPUDevice: made asynchronously, once per kernel, de-duplicated while in flight. */
import { TuttiError } from '../errors.js';
import type { Capabilities, KernelBody, WgslVariant } from './device.js';

export interface KernelPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly workgroupSize: number;
}

export interface PipelineCache {
  get(kernel: KernelBody): KernelPipeline | Promise<KernelPipeline>;
}

const COMPUTE_STAGE = 4; // GPUShaderStage.COMPUTE; the global is not there in Node

export function createPipelineCache(device: GPUDevice, capabilities: Capabilities): PipelineCache {
  const ready = new Map<KernelBody, KernelPipeline>();
  const pending = new Map<KernelBody, Promise<KernelPipeline>>();

  const build = async (kernel: KernelBody): Promise<KernelPipeline> => {
    const { source } = chooseVariant(kernel, capabilities);
    if (kernel.buffers.length > capabilities.maxBuffersPerKernel) {
      throw new TuttiError(
        'LIMIT_EXCEEDED',
        `kernel ${kernel.name} binds ${kernel.buffers.length} buffers, this device allows ${capabilities.maxBuffersPerKernel}`,
        { where: kernel.name },
      );
    }
    const workgroupSize = Math.min(kernel.wgsl.workgroupSize ?? 64, capabilities.maxWorkgroupInvocations);
    const constants: Record<string, number> = {};
    if (/override\s+WORKGROUP_SIZE\b/.test(source)) constants['WORKGROUP_SIZE'] = workgroupSize;
    const sizes = capabilities.subgroupSize;
    if (/override\s+SUBGROUP_SIZE\b/.test(source) && sizes && sizes.min === sizes.max)
      constants['SUBGROUP_SIZE'] = sizes.min;
    // An invalid shader also raises an error of its own, which must not fall on whoever runs next.
    device.pushErrorScope('validation');
    const layout = device.createBindGroupLayout({
      label: kernel.name,
      entries: [
        { binding: 0, visibility: COMPUTE_STAGE, buffer: { type: 'uniform', hasDynamicOffset: true } },
        ...kernel.buffers.map((param, i) => ({
          binding: i + 1,
          visibility: COMPUTE_STAGE,
          buffer: { type: param.access === 'read' ? ('read-only-storage' as const) : ('storage' as const) },
        })),
      ],
    });
    const module = device.createShaderModule({ label: kernel.name, code: source });
    const raised = device.popErrorScope();
    raised.catch(() => {}); // the device was lost; the pipeline says so
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: kernel.name,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: kernel.name, constants },
      });
      return { pipeline, layout, workgroupSize };
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const errors = messages.filter((m) => m.type === 'error').map((m) => `line ${m.lineNum}: ${m.message}`);
      throw new TuttiError(
        'KERNEL_UNSUPPORTED',
        `kernel ${kernel.name} does not compile on ${capabilities.name}: ${errors.join('; ') || String(cause)}`,
        { where: kernel.name, cause },
      );
    }
  };

  return {
    get(kernel) {
      const done = ready.get(kernel);
      if (done) return done;
      let compiling = pending.get(kernel);
      if (!compiling) {
        compiling = build(kernel).then(
          (pipeline) => {
            ready.set(kernel, pipeline);
            pending.delete(kernel);
            return pipeline;
          },
          (error: unknown) => {
            pending.delete(kernel);
            throw error;
          },
        );
        pending.set(kernel, compiling);
      }
      return compiling;
    },
  };
}

/** The first variant whose needs are met. @throws TuttiError KERNEL_UNSUPPORTED when there is none. */
export function chooseVariant(kernel: KernelBody, capabilities: Capabilities): WgslVariant {
  const variant = kernel.wgsl.variants.find((v) => v.requires.every((feature) => capabilities.features.has(feature)));
  if (!variant) {
    throw new TuttiError(
      'KERNEL_UNSUPPORTED',
      `kernel ${kernel.name} has no WGSL variant for the features of ${capabilities.name}`,
      { where: kernel.name },
    );
  }
  return variant;
}
