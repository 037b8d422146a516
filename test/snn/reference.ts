/**
 * A second opinion on what a network does: plain loops over the description, one neuron and one synapse at a time, in
 * double precision or whole numbers. Shares no code with the engine, and is as slow as that sounds.
 */
import type {
  FixedPopulation,
  FixedProjection,
  FloatPopulation,
  Parameter,
  Projection,
  SpikingNetwork,
} from '../../host/snn/index.js';

export interface ReferenceInput {
  /** spikes[step][population][neuron]: how often it fires. */
  readonly spikes: readonly Readonly<Record<string, readonly number[]>>[];
  /** currents[step][population][neuron]. */
  readonly currents?: readonly Readonly<Record<string, readonly number[]>>[];
}

export interface ReferenceOutput {
  /** fired[step][population]: ids. */
  readonly fired: Record<string, number[]>[];
  /** potentials[step][population][neuron]. */
  readonly potentials: Record<string, number[]>[];
}

const at = (parameter: Parameter | undefined, n: number): number =>
  parameter === undefined ? 0 : typeof parameter === 'number' ? parameter : parameter[n]!;

/** Every synapse as [pre, post, weight]. */
export function synapsesOf(network: SpikingNetwork, projection: Projection): [number, number, number][] {
  const size = (name: string): number => network.populations.find((p) => p.name === name)!.size;
  const found: [number, number, number][] = [];
  if (projection.kind === 'dense') {
    const posts = size(projection.to);
    projection.weights.forEach((w, i) => found.push([Math.floor(i / posts), i % posts, w]));
  } else if (projection.kind === 'sparse') {
    for (let pre = 0; pre < size(projection.from); pre++) {
      for (let k = projection.rowStart[pre]!; k < projection.rowStart[pre + 1]!; k++) {
        found.push([pre, projection.columns[k]!, projection.weights[k]!]);
      }
    }
  } else {
    // Output by output, as frameworks define cross-correlation (the engine goes from input to output).
    const [inC, inH, inW] = projection.inputShape;
    const [outC, outH, outW] = projection.outputShape;
    for (let oc = 0; oc < outC; oc++)
      for (let oy = 0; oy < outH; oy++)
        for (let ox = 0; ox < outW; ox++)
          for (let ic = 0; ic < inC; ic++)
            for (let ky = 0; ky < projection.kernel[0]; ky++)
              for (let kx = 0; kx < projection.kernel[1]; kx++) {
                const iy = oy * projection.stride[0] - projection.padding[0] + ky;
                const ix = ox * projection.stride[1] - projection.padding[1] + kx;
                if (iy < 0 || iy >= inH || ix < 0 || ix >= inW) continue;
                const w =
                  projection.weights[((ic * projection.kernel[0] + ky) * projection.kernel[1] + kx) * outC + oc]!;
                found.push([(ic * inH + iy) * inW + ix, (oc * outH + oy) * outW + ox, w]);
              }
  }
  return found;
}

export function simulate(network: SpikingNetwork, input: ReferenceInput, steps: number): ReferenceOutput {
  const fixed = network.numeric === 'fixed';
  const neurons = network.populations.filter((p): p is FixedPopulation | FloatPopulation => p.model !== 'input');
  const synapses = network.projections.map((projection) => synapsesOf(network, projection));
  const v: Record<string, number[]> = {};
  const receptorCurrents: Record<string, number[][]> = {};
  const left: Record<string, number[]> = {};
  for (const p of neurons) {
    v[p.name] = Array.from({ length: p.size }, (_, n) => at(p.initial, n));
    left[p.name] = new Array<number>(p.size).fill(0);
    const receptors = 'receptors' in p ? (p.receptors?.length ?? 1) : 1;
    receptorCurrents[p.name] = Array.from({ length: receptors }, () => new Array<number>(p.size).fill(0));
  }
  const output: ReferenceOutput = { fired: [], potentials: [] };

  for (let step = 0; step < steps; step++) {
    const counts: Record<string, readonly number[]> = { ...(input.spikes[step] ?? {}) };
    const firedThen = (name: string, when: number): readonly number[] | undefined => {
      if (when < 0) return undefined;
      if (when === step) return counts[name];
      const inputs = input.spikes[when]?.[name];
      if (inputs !== undefined) return inputs;
      const ids = output.fired[when]?.[name];
      if (ids === undefined) return undefined;
      const list: number[] = [];
      ids.forEach((id) => (list[id] = (list[id] ?? 0) + 1));
      return list;
    };
    const fired: Record<string, number[]> = {};
    const potentials: Record<string, number[]> = {};
    for (const name of network.order) {
      const p = neurons.find((one) => one.name === name);
      if (p === undefined) continue;
      const arrived = receptorCurrents[name]!;
      input.currents?.[step]?.[name]?.forEach((current, n) => (arrived[0]![n]! += current));
      network.projections.forEach((projection, i) => {
        const shift = fixed ? (projection as FixedProjection).shift : 0;
        if (projection.to !== name) return;
        const receptor =
          'receptors' in p && p.receptors ? p.receptors.findIndex((r) => r.name === projection.receptor) : 0;
        for (const [pre, post, weight] of synapses[i]!) {
          const delay = typeof projection.delay === 'number' ? projection.delay : projection.delay[pre]!;
          const times = firedThen(projection.from, step - delay)?.[pre] ?? 0;
          if (times > 0) arrived[receptor]![post]! += times * weight * 2 ** shift;
        }
      });
      fired[name] = [];
      for (let n = 0; n < p.size; n++) {
        const next = fixed
          ? stepFixed(p as FixedPopulation, n, v[name]![n]!, arrived)
          : stepFloat(p as FloatPopulation, n, v[name]![n]!, arrived, network.dt);
        if (left[name]![n]! > 0) {
          left[name]![n]!--;
          continue;
        }
        const threshold = at(p.threshold, n);
        const fires = p.threshold !== undefined && (fixed ? next >= threshold : next > threshold);
        v[name]![n] = !fires ? next : p.reset!.kind === 'subtract' ? next - threshold : at(p.reset!.value, n);
        if (!fires) continue;
        fired[name].push(n);
        for (let times = 1; times < p.maxSpikesPerStep!; times++) {
          if (fixed ? v[name]![n]! < threshold : v[name]![n]! <= threshold) break;
          v[name]![n]! -= threshold;
          fired[name].push(n);
        }
        left[name]![n] = fixed
          ? at((p as FixedPopulation).refractorySteps, n)
          : Math.round(at((p as FloatPopulation).refractory, n) / (network as { dt: number }).dt);
      }
      if (p.threshold !== undefined) {
        const list: number[] = [];
        fired[name].forEach((id) => (list[id] = (list[id] ?? 0) + 1));
        counts[name] = list;
      } else delete fired[name];
      potentials[name] = [...v[name]!];
    }
    output.fired.push(fired);
    output.potentials.push(potentials);
  }
  return output;
}

function stepFixed(p: FixedPopulation, n: number, v: number, arrived: number[][]): number {
  const shift = at(p.leakShift, n);
  const next = v - (shift > 0 ? Math.floor(v / 2 ** shift) : 0) + arrived[0]![n]! + at(p.bias, n);
  arrived[0]![n] = 0;
  return next;
}

/** Textbook solutions of the equations over one step, not the engine's rearranged ones. */
function stepFloat(p: FloatPopulation, n: number, v: number, arrived: number[][], dt: number): number {
  const resistance = at(p.resistance, n);
  const tau = at(p.tau, n);
  const leak = at(p.leak, n);
  if (p.receptors === undefined) {
    const input = arrived[0]![n]! + at(p.bias, n);
    arrived[0]![n] = 0;
    if (p.tau === undefined) return v + (p.synapse === 'delta' ? input : dt * resistance * input);
    const alpha = Math.exp(-dt / tau);
    if (p.synapse === 'delta') return leak + (v - leak) * alpha + input;
    const rest = leak + resistance * input;
    return rest + (v - rest) * alpha;
  }
  const alpha = Math.exp(-dt / tau);
  const rest = leak + resistance * at(p.bias, n);
  let next = rest + (v - rest) * alpha;
  p.receptors.forEach((receptor, r) => {
    const synaptic = at(receptor.tau, n);
    const current = arrived[r]![n]! * at(receptor.weightScale, n) * resistance;
    const beta = Math.exp(-dt / synaptic);
    const gain =
      Math.abs(synaptic - tau) < 1e-9 * tau ? (dt / tau) * alpha : (synaptic / (synaptic - tau)) * (beta - alpha);
    next += current * gain;
    arrived[r]![n]! *= beta;
  });
  return next;
}
