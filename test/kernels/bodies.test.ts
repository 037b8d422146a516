/** Every body against its declaration: WGSL bindings and scalars, Wasm exports, and that all of it compiles. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from 'webgpu';
import { describe, expect, it } from 'vitest';
import { WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import type { KernelBody } from '../../host/device/device.js';
import { machineKernels } from '../../host/kernels/machine/index.js';
import { snnKernels } from '../../host/kernels/snn/index.js';
import { trainingKernels } from '../../host/kernels/training/index.js';
import { ditKernels } from '../../host/kernels/dit/index.js';
import { kvKernels } from '../../host/kernels/kv/index.js';
import { tensorKernels } from '../../host/kernels/tensor/index.js';

const rooms: Readonly<Record<string, readonly KernelBody[]>> = {
  machine: machineKernels(),
  snn: snnKernels(),
  training: trainingKernels(),
  tensor: tensorKernels(),
  kv: kvKernels(),
  dit: ditKernels(),
};
const kernels = Object.values(rooms).flat();

describe('WGSL', () => {
  it.each(kernels.map((kernel) => [kernel.name, kernel] as const))('%s binds what it declares', (name, kernel) => {
    expect(kernel.wgsl.variants.at(-1)!.requires, 'the last variant needs nothing').toEqual([]);
    for (const { source, requires } of kernel.wgsl.variants) {
      // wgsl_reflect does not know the directives.
      const entry = new WgslReflect(source.replace(/enable\s+\w+;/g, '')).entry.compute.find((e) => e.name === name);
      expect(entry, `entry point ${name}`).toBeDefined();
      const resources = [...entry!.resources].sort((a, b) => a.binding - b.binding);
      expect(resources.map((r) => [r.group, r.binding])).toEqual([0, ...kernel.buffers].map((_, i) => [0, i]));
      const params = resources[0]!.type as unknown as { members: { name: string; type: { name: string } }[] };
      expect(params.members.map((m) => [m.name.replace('uniformConstants', 'uniform'), m.type.name])).toEqual([
        ['step', 'u32'],
        ...kernel.scalars.map((scalar) => [scalar.name, scalar.type]),
      ]);
      kernel.buffers.forEach((buffer, i) => {
        const resource = resources[i + 1]!;
        const { format } = resource.type as unknown as { format: { name: string; format?: { name: string } | null } };
        // Vectors of a buffer's elements are another way to read them.
        const element =
          format.name === 'atomic'
            ? format.format!.name
            : format.name
                .replace(/^vec[234](?=[fiu]$)/, '')
                .replace(/^([fiu])$/, '$132')
                // Words that hold two halves each.
                .replace(/^vec[24]$/, requires.includes('shader-f16') && format.format?.name === 'f16' ? 'u32' : 'vec');
        expect(element, `${name}.${buffer.name}`).toBe(buffer.type === 'i8' ? 'u32' : buffer.type);
        expect(resource.access, `${name}.${buffer.name}`).toBe(buffer.access === 'read' ? 'read' : 'read_write');
        expect(resource.name.replace(/(F32|I32|I8)$/, ''), `${name} binding ${i + 1}`).toBe(buffer.name);
      });
    }
  });

  it('compiles on Dawn, every variant and entry point, without any driver', async () => {
    const gpu = create(['backend=null']);
    const adapter = (await gpu.requestAdapter())!;
    const device = await adapter.requestDevice({ requiredFeatures: ['subgroups', 'shader-f16'] });
    for (const { name, wgsl } of kernels) {
      for (const { source } of wgsl.variants) {
        const module = device.createShaderModule({ code: source });
        const { messages } = await module.getCompilationInfo();
        expect(messages.map((m) => `${name} line ${m.lineNum}: ${m.message}`)).toEqual([]);
        await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: name } });
      }
    }
    device.destroy();
    await device.lost;
    // Dawn crashes when the instance is collected while its compiler threads are at work.
    expect(gpu).toBeDefined();
  });

  it('has no file that no kernel uses', () => {
    const used = kernels.flatMap((kernel) => kernel.wgsl.variants.map((variant) => variant.source)).join('\n');
    for (const room of Object.keys(rooms)) {
      for (const file of readdirSync(join('gpu-kernels', room))) {
        // A source may be put together from files and have its names replaced: its first line, a comment, is in it as it is.
        const [firstLine] = readFileSync(join('gpu-kernels', room, file), 'utf8').split('\n');
        expect(used.includes(firstLine!), `gpu-kernels/${room}/${file}`).toBe(true);
      }
    }
  });
});

describe.each(Object.entries(rooms))('Wasm module %s', (room, bodies) => {
  it('exports its kernels and nothing else', async () => {
    const module = await WebAssembly.compile(readFileSync(`build/${room}.wasm`));
    const exports = WebAssembly.Module.exports(module)
      .filter((e) => e.kind === 'function')
      .map((e) => e.name);
    expect(exports.sort()).toEqual([...bodies.map((body) => body.name), 'runCommands'].sort());
    expect(bodies.every((body) => body.wasm.module.name === room)).toBe(true);
  });

  it('has no static data, which would collide with that of other modules in the same memory', () => {
    const bytes = readFileSync(`build/${room}.wasm`);
    let at = 8;
    while (at < bytes.length) {
      const section = bytes[at++];
      let size = 0;
      let shift = 0;
      let byte: number;
      do {
        byte = bytes[at++]!;
        size |= (byte & 0x7f) << shift;
        shift += 7;
      } while (byte & 0x80);
      expect(section, 'data section').not.toBe(11);
      at += size;
    }
  });
});
