/**
 * The CUBA network of Vogels and Abbott (2005): 80 % excitatory, in-degree 80 (2 % of 4,000), exponential synapses, dt 0.1 ms.
 * The same equations as bench/peers/cuba_brian2.py.
 */
import { defineNetwork, randomSparse, seededRandom, type SpikingNetwork } from '../../host/snn/index.js';

export function cubaNetwork(neurons: number, seed: number): SpikingNetwork {
  const excitatory = Math.floor((neurons * 4) / 5);
  const random = seededRandom(seed);
  const initial = Float32Array.from({ length: neurons }, () => -60 + 10 * random.uniform());
  const population = (name: string, from: number, size: number) => ({
    name,
    model: 'cubaLif' as const,
    size,
    tau: 20e-3,
    leak: -49,
    threshold: -50,
    reset: { kind: 'value' as const, value: -60 },
    refractory: 5e-3,
    initial: initial.slice(from, from + size),
    receptors: [
      { name: 'excitatory', tau: 5e-3 },
      { name: 'inhibitory', tau: 10e-3 },
    ],
  });
  const sizes = { e: excitatory, i: neurons - excitatory } as const;
  const connect = (from: 'e' | 'i', to: 'e' | 'i', salt: number) => {
    const weight = from === 'e' ? 1.62 : -9;
    const synapses = randomSparse({
      pre: sizes[from],
      post: sizes[to],
      probability: 80 / neurons,
      weight,
      seed: seed + salt,
    });
    return { ...synapses, from, to, receptor: from === 'e' ? 'excitatory' : 'inhibitory', delay: 1 };
  };
  return defineNetwork({
    name: `cuba-${neurons}`,
    numeric: 'float32',
    dt: 1e-4,
    populations: [population('e', 0, excitatory), population('i', excitatory, neurons - excitatory)],
    projections: [connect('e', 'e', 1), connect('e', 'i', 2), connect('i', 'e', 3), connect('i', 'i', 4)],
  });
}
