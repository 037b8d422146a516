/**
 * A second opinion on what a NIR graph does: every node by its own definition, one element at a time, in double precision. Shares no
 * code with the reader beyond the data types.
 */
import type { NirArray, NirGraph, NirLeaf } from '../../host/snn/nir/graph.js';

export interface Rules {
  readonly dt: number;
  readonly reset: 'value' | 'subtract';
  readonly most: number;
  readonly synapse: 'current' | 'delta';
  /** "from to" of edges whose signal is that of the step before. */
  readonly later: ReadonlySet<string>;
  /** What a node sends, per step. */
  readonly inputs: Readonly<Record<string, readonly (readonly number[])[]>>;
}

export interface Trace {
  /** Per step: potentials after the reset, how often each fired, how near the nearest potential came to its threshold. */
  readonly v: readonly (readonly number[])[];
  readonly spikes: readonly (readonly number[])[];
  readonly nearest: readonly number[];
}

interface Plane {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

const at = (array: NirArray | undefined, n: number, otherwise = 0): number =>
  array === undefined ? otherwise : array.data.length === 1 ? array.data[0]! : array.data[n]!;

const shapeOf = (it: NirLeaf): readonly number[] =>
  (it as { r?: NirArray }).r?.shape ?? (it as { threshold: NirArray }).threshold.shape;

const NEURONS = ['LIF', 'IF', 'CubaLIF', 'LI', 'I', 'CubaLI', 'Threshold'];

/** Runs a graph without subgraphs. Returns the trace of every neuron, and what reaches every Output. */
export function interpret(
  graph: NirGraph,
  rules: Rules,
  steps: number,
): { neurons: Record<string, Trace>; outputs: Record<string, number[][]> } {
  const neurons: Record<string, { v: number[][]; spikes: number[][]; nearest: number[]; current: number[] }> = {};
  const known = new Map<string, Plane>();
  const node = (name: string): NirLeaf => graph.nodes.get(name) as NirLeaf;

  const coming = (name: string, step: number): Plane => {
    let sum: Plane | undefined;
    for (const [from, to] of graph.edges) {
      if (to !== name) continue;
      const plane = output(from, rules.later.has(`${from} ${to}`) ? step - 1 : step);
      const before = sum?.data;
      sum = before === undefined ? plane : { ...plane, data: plane.data.map((value, i) => value + before[i]!) };
    }
    if (sum === undefined) throw new Error(`nothing reaches ${name}`);
    return sum;
  };
  const output = (name: string, step: number): Plane => {
    const key = `${name} ${step}`;
    let plane = known.get(key);
    if (plane === undefined) known.set(key, (plane = made(name, step)));
    return plane;
  };
  const made = (name: string, step: number): Plane => {
    const it = node(name);
    if (it.type === 'Input') {
      const data = rules.inputs[name]![Math.max(step, 0)]!;
      return { shape: it.shape, data: step < 0 ? data.map(() => 0) : data };
    }
    if (NEURONS.includes(it.type)) {
      if (step < 0) {
        const shape = shapeOf(it);
        return { shape, data: new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0) };
      }
      output(name, step - 1);
      return neuron(name, it, coming(name, step), step);
    }
    if (it.type === 'Delay') {
      const now = coming(name, step);
      return {
        ...now,
        data: now.data.map((_, i) => coming(name, step - Math.round(at(it.delay, i) / rules.dt)).data[i]!),
      };
    }
    return linear(it, coming(name, step));
  };
  const neuron = (name: string, it: NirLeaf, input: Plane, step: number): Plane => {
    const { dt, synapse } = rules;
    const held = (neurons[name] ??= { v: [], spikes: [], nearest: [], current: [] });
    const [v, spikes]: [number[], number[]] = [[], []];
    let nearest = Infinity;
    input.data.forEach((arrived, n) => {
      const leak = 'v_leak' in it ? at(it.v_leak, n) : 0;
      const before = step === 0 ? leak : held.v[step - 1]![n]!;
      const r = 'r' in it ? at(it.r, n) : 1;
      let next: number;
      if (it.type === 'Threshold') next = arrived;
      else if ('tau_syn' in it) {
        const [tauS, tauM] = [at(it.tau_syn, n), at(it.tau_mem, n)];
        const current = (held.current[n] ?? 0) + (arrived * at(it.w_in, n, 1) * dt) / tauS;
        // tau v' = leak - v + r I e^(-t / tau_syn), solved.
        const gain = (tauS / (tauS - tauM)) * (Math.exp(-dt / tauS) - Math.exp(-dt / tauM));
        next = leak + (before - leak) * Math.exp(-dt / tauM) + r * current * gain;
        held.current[n] = current * Math.exp(-dt / tauS);
      } else if ('tau' in it) {
        const tau = at(it.tau, n);
        const rest = leak + (synapse === 'current' ? r * arrived : 0);
        next = rest + (before - rest) * Math.exp(-dt / tau) + (synapse === 'delta' ? (r * dt * arrived) / tau : 0);
      } else next = before + r * arrived * (synapse === 'current' ? dt : 1);

      let fired = 0;
      const threshold =
        'v_threshold' in it ? at(it.v_threshold, n) : 'threshold' in it ? at(it.threshold, n) : undefined;
      if (threshold !== undefined) {
        const most = it.type === 'Threshold' ? 1 : rules.most;
        // With several spikes a step each multiple is a threshold.
        for (let k = 1; k <= most; k++) nearest = Math.min(nearest, Math.abs(next - k * threshold));
        if (it.type === 'Threshold' || rules.reset === 'value') {
          if (next > threshold) {
            fired = 1;
            next = it.type === 'Threshold' ? 0 : 'v_reset' in it ? at(it.v_reset, n) : 0;
          }
        } else for (; next > threshold && fired < most; fired++) next -= threshold;
      }
      v.push(next);
      spikes.push(fired);
    });
    held.v.push(v);
    held.spikes.push(spikes);
    held.nearest.push(nearest);
    return { shape: shapeOf(it), data: spikes };
  };

  const outputs: Record<string, number[][]> = {};
  for (const [name, it] of graph.nodes) {
    if (it.type === 'Output') {
      const from = graph.edges.filter(([, to]) => to === name).map(([source]) => source);
      const potential = from.length === 1 && NEURONS.includes(node(from[0]!).type);
      outputs[name] = Array.from({ length: steps }, (_, step) => (potential ? [] : [...coming(name, step).data]));
    }
    if (NEURONS.includes(it.type)) for (let step = 0; step < steps; step++) output(name, step);
  }
  return { neurons, outputs };
}

function linear(it: NirLeaf, { shape, data }: Plane): Plane {
  switch (it.type) {
    case 'Affine':
    case 'Linear': {
      const [outs, ins] = it.weight.shape as [number, number];
      return {
        shape: [outs],
        data: Array.from({ length: outs }, (_, o) => {
          let sum = it.type === 'Affine' ? at(it.bias, o) : 0;
          for (let i = 0; i < ins; i++) sum += it.weight.data[o * ins + i]! * data[i]!;
          return sum;
        }),
      };
    }
    case 'Scale': {
      // One value per element, one for all, or one per channel of shape [channels, 1, 1].
      const plane = it.scale.data.length === data.length ? 1 : data.length / it.scale.data.length;
      return { shape, data: data.map((value, i) => value * it.scale.data[Math.floor(i / plane)]!) };
    }
    case 'Flatten':
      return { shape: [data.length], data };
    case 'SumPool2d':
    case 'AvgPool2d': {
      const [channels, height, width] = shape as [number, number, number];
      const [kernel, stride, pad] = [it.kernel_size, it.stride, it.padding];
      const out = [0, 1].map((a) => Math.floor((shape[a + 1]! + 2 * pad[a]! - kernel[a]!) / stride[a]!) + 1);
      const result: number[] = [];
      for (let c = 0; c < channels; c++)
        for (let y = 0; y < out[0]!; y++)
          for (let x = 0; x < out[1]!; x++) {
            let sum = 0;
            for (let ky = 0; ky < kernel[0]!; ky++)
              for (let kx = 0; kx < kernel[1]!; kx++) {
                const [iy, ix] = [y * stride[0]! - pad[0]! + ky, x * stride[1]! - pad[1]! + kx];
                if (iy >= 0 && iy < height && ix >= 0 && ix < width) sum += data[(c * height + iy) * width + ix]!;
              }
            result.push(it.type === 'AvgPool2d' ? sum / (kernel[0]! * kernel[1]!) : sum);
          }
      return { shape: [channels, ...out], data: result };
    }
    case 'Conv1d':
    case 'Conv2d': {
      const flat = it.type === 'Conv1d';
      const [height, width] = flat ? [1, shape[1]!] : [shape[1]!, shape[2]!];
      const two = (sizes: readonly number[], first: number): readonly number[] => (flat ? [first, sizes[0]!] : sizes);
      const [outs, perGroup] = it.weight.shape as [number, number];
      const kernel = flat ? [1, it.weight.shape[2]!] : it.weight.shape.slice(2);
      const [stride, dilation] = [two(it.stride, 1), two(it.dilation, 1)];
      const reach = kernel.map((taps, a) => dilation[a]! * (taps - 1) + 1);
      const before =
        it.padding === 'same'
          ? reach.map((r) => Math.floor((r - 1) / 2))
          : it.padding === 'valid'
            ? [0, 0]
            : two(it.padding, 0);
      const size = [height, width];
      const out = reach.map((r, a) =>
        it.padding === 'same' ? size[a]! : Math.floor((size[a]! + 2 * before[a]! - r) / stride[a]!) + 1,
      );
      const result: number[] = [];
      for (let o = 0; o < outs; o++)
        for (let y = 0; y < out[0]!; y++)
          for (let x = 0; x < out[1]!; x++) {
            let sum = at(it.bias, o);
            for (let c = 0; c < perGroup; c++)
              for (let ky = 0; ky < kernel[0]!; ky++)
                for (let kx = 0; kx < kernel[1]!; kx++) {
                  const iy = y * stride[0]! - before[0]! + ky * dilation[0]!;
                  const ix = x * stride[1]! - before[1]! + kx * dilation[1]!;
                  if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
                  const channel = Math.floor(o / (outs / it.groups)) * perGroup + c;
                  sum +=
                    it.weight.data[((o * perGroup + c) * kernel[0]! + ky) * kernel[1]! + kx]! *
                    data[(channel * height + iy) * width + ix]!;
                }
            result.push(sum);
          }
      return { shape: flat ? [outs, out[1]!] : [outs, ...out], data: result };
    }
    default:
      throw new Error(`${it.type} is not linear`);
  }
}
