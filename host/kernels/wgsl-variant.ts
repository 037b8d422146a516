/** Puts the variants of a WGSL body together: files that stand for what differs, and the directives of what they require. */
import subgroupNumber from '../../gpu-kernels/subgroup_number.wgsl';
import type { WgslVariant } from '../device/device.js';

/** A feature of the device, and the extension by which WGSL names it. */
const EXTENSIONS = { subgroups: 'subgroups', 'shader-f16': 'f16' } as const;

export type WgslFeature = keyof typeof EXTENSIONS;

/**
 * @param requires Features without which the parts do not compile; their `enable` directives are put in front, and with subgroups what numbers them.
 */
export function wgslVariant(requires: readonly WgslFeature[], ...parts: readonly string[]): WgslVariant {
  const directives = requires.map((feature) => `enable ${EXTENSIONS[feature]};\n`);
  const shared = requires.includes('subgroups') ? [subgroupNumber] : [];
  return { requires, source: [...directives, ...shared, ...parts].join('\n') };
}
