/** A program as text for people: its tables row by row, as the machine will walk them. */
import { portOf, portOfSpu, type Program } from '../machine/program.js';
import { routingWords, spusPerPort } from '../machine/config.js';

/** One line at a time, so that listings of large programs need not be held as a whole. */
export function* listProgram(program: Program): Generator<string> {
  const { machine } = program;
  yield `program    ${program.name}: ${program.synapses} synapses, ${program.strategy}, seed ${program.seed}`;
  yield `machine    ${Object.entries(machine)
    .map(([field, value]) => `${field} ${value}`)
    .join(', ')}`;
  yield `time       ${program.stretch} machine step${program.stretch > 1 ? 's' : ''} per network step, skew up to ${program.maxSkew}`;
  for (const { name, model, size, firstNeuron, skew } of program.populations)
    yield model === 'input'
      ? `population ${name}: ${size} inputs`
      : `population ${name}: ${size} ${model}, ids ${firstNeuron} .. ${firstNeuron + size - 1}, skew ${skew}`;
  for (const [i, c] of program.classes.entries()) {
    const fires = c.spiking
      ? `fires at ${c.threshold}, then ${c.subtract ? 'subtracts it' : `is set to ${c.resetValue}`}, rests ${c.refractorySteps} steps`
      : 'never fires';
    yield `class ${i}    leak shift ${c.leakShift}, ${fires}, starts at ${c.initial}, skew ${c.skew}${c.record ? ', recorded' : ''}`;
  }
  const words = routingWords(machine);
  const perPort = spusPerPort(machine);
  const firedBy = new Map<number, string>();
  for (let input = 0; input + 1 < program.inputStart.length; input++)
    for (let k = program.inputStart[input]!; k < program.inputStart[input + 1]!; k++)
      firedBy.set(program.inputAxon[k]!, `input ${input}, ${program.inputDelay[k]} later`);
  for (let n = 0; n < program.neurons; n++)
    for (let a = program.firstAxon[n]!; a < program.firstAxon[n]! + program.axonCount[n]!; a++)
      firedBy.set(a, `neuron ${n}, ${program.axonDelay[a]} later`);
  yield '';
  for (let axon = 0; axon < program.axons; axon++) {
    const to: string[] = [];
    for (let k = 0; k < perPort; k++)
      if ((program.routing[axon * words + (k >> 5)]! >>> (k & 31)) & 1)
        to.push(String(portOf(program, axon) * perPort + k));
    yield `axon ${axon}    port ${portOf(program, axon)}, of ${firedBy.get(axon) ?? 'nothing'}, to SPU ${to.join(' ') || 'none'}`;
  }
  for (const [p, spu] of program.spus.entries()) {
    yield '';
    yield `SPU ${p}    port ${portOfSpu(program, p)}, ${spu.accumulator.length} operations, weights ${[...spu.weights].join(' ')}`;
    for (let row = 0; row < spu.rowStart.length; row++) {
      const count = spu.rowCount[row]!;
      if (count === 0) continue;
      const start = spu.rowStart[row]!;
      const operations = Array.from({ length: count }, (_, i) => {
        const weight = spu.weights[spu.weightIndex[start + i]!]! * 2 ** spu.rowShift[row]!;
        return `${spu.accumulator[start + i]! + spu.rowBase[row]!}${weight < 0 ? '-' : '+'}=${Math.abs(weight)}`;
      });
      yield `  axon ${row * machine.ports + portOfSpu(program, p)} @${start}: ${operations.join(' ')}`;
    }
  }
}
