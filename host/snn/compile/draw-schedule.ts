/** A picture (SVG) of one sample's schedule: what every port, SPU, the merge tree and the delivery did in which cycle. */
import { spusPerPort } from '../machine/config.js';
import type { Program } from '../machine/program.js';
import { DELIVERY_FIELDS, ISSUE_FIELDS, ROW_FIELDS, type StepTrace } from '../machine/trace.js';

export interface ScheduleDrawing {
  /** Width of the whole picture in pixels. Default 1200. */
  readonly width?: number;
  /** Cycles shown: first and one behind the last. Default: the whole sample. */
  readonly cycles?: readonly [from: number, until: number];
}

const LEFT = 92;
const RIGHT = 64;
const TOP = 66;
const LANE = 13;
const GAP = 3;
const SECTION = 10;
/** Legible on white and on black alike. */
const COLOUR = {
  issue: '#4477aa',
  wait: '#cc6677',
  row: '#228833',
  sweep: '#aa7744',
  delivery: '#aa3377',
  text: '#808080',
  line: '#80808055',
  lane: '#80808018',
} as const;

interface Bar {
  readonly from: number;
  readonly cycles: number;
  readonly colour: string;
  readonly title: string;
}

interface Lane {
  readonly label: string;
  readonly bars: readonly Bar[];
  /** Opens a new section of lanes. */
  readonly section: boolean;
}

/** `trace` is what the cycle model recorded of one sample. */
export function drawSchedule(program: Program, trace: readonly StepTrace[], options: ScheduleDrawing = {}): string {
  const width = options.width ?? 1200;
  const end = trace.reduce((most, step) => Math.max(most, step.merged, step.accumulated), 1);
  const [from, until] = options.cycles ?? [0, end];
  const span = Math.max(1, until - from);
  const x = (cycle: number): number => LEFT + ((cycle - from) / span) * (width - LEFT - RIGHT);
  const lanes = lanesOf(program, trace);
  const height = TOP + lanes.length * (LANE + GAP) + lanes.filter(({ section }) => section).length * SECTION + 30;
  const parts: string[] = [];
  const text = (at: number, y: number, content: string, anchor = 'start', size = 11): void =>
    void parts.push(
      `<text x="${round(at)}" y="${round(y)}" text-anchor="${anchor}" font-size="${size}">${escape(content)}</text>`,
    );

  const { machine } = program;
  text(
    LEFT,
    20,
    `${program.name}: ${machine.spus} SPUs at ${machine.ports} port${machine.ports > 1 ? 's' : ''}, ${program.strategy}`,
    'start',
    14,
  );
  const operations = trace.reduce((sum, { rows }) => sum + sumOf(rows, ROW_FIELDS, 3), 0);
  text(
    LEFT,
    37,
    `${end} cycles in ${trace.length} machine steps, ${operations} synaptic operations, SPUs busy ${percent(operations / (end * machine.spus))}`,
  );
  const legend = [
    ['issue', 'axon issued'],
    ['wait', 'axon waiting for an SPU'],
    ['row', 'synaptic operations'],
    ['sweep', 'merge sweep'],
    ['delivery', 'spikes delivered'],
  ] as const;
  legend.forEach(([colour, what], i) => {
    const at = width - RIGHT - 150 * (legend.length - i);
    parts.push(`<rect x="${at}" y="46" width="10" height="10" fill="${COLOUR[colour]}"/>`);
    text(at + 14, 55, what, 'start', 10);
  });
  text(width - RIGHT + 6, TOP - 4, 'busy', 'start', 10);

  let y = TOP;
  for (const { label, bars, section } of lanes) {
    if (section) y += SECTION;
    text(LEFT - 6, y + LANE - 3, label, 'end', 10);
    parts.push(`<rect x="${LEFT}" y="${y}" width="${width - LEFT - RIGHT}" height="${LANE}" fill="${COLOUR.lane}"/>`);
    let busy = 0;
    for (const bar of bars) {
      if (bar.colour !== COLOUR.wait) busy += bar.cycles;
      const first = Math.max(from, bar.from);
      const last = Math.min(until, bar.from + bar.cycles);
      if (last <= first) continue;
      const wide = Math.max(0.6, x(last) - x(first));
      parts.push(
        `<rect x="${round(x(first))}" y="${y}" width="${round(wide)}" height="${LANE}" fill="${bar.colour}"><title>${escape(bar.title)}</title></rect>`,
      );
    }
    text(width - RIGHT + 6, y + LANE - 3, percent(busy / end), 'start', 10);
    y += LANE + GAP;
  }
  // Barriers, and an axis with round numbers of cycles.
  for (const { barrier, step } of trace) {
    if (barrier < from || barrier > until) continue;
    parts.push(
      `<line x1="${round(x(barrier))}" x2="${round(x(barrier))}" y1="${TOP}" y2="${y}" stroke="${COLOUR.line}"><title>barrier behind machine step ${step}, cycle ${barrier}</title></line>`,
    );
  }
  const tick = niceStep(span / 10);
  for (let cycle = Math.ceil(from / tick) * tick; cycle <= until; cycle += tick) {
    parts.push(
      `<line x1="${round(x(cycle))}" x2="${round(x(cycle))}" y1="${y}" y2="${y + 4}" stroke="${COLOUR.text}"/>`,
    );
    text(x(cycle), y + 16, String(cycle), 'middle', 10);
  }
  text(LEFT - 6, y + 16, 'cycle', 'end', 10);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="system-ui, sans-serif" fill="${COLOUR.text}">${parts.join('')}</svg>\n`
  );
}

function lanesOf(program: Program, trace: readonly StepTrace[]): Lane[] {
  const { machine } = program;
  const perPort = spusPerPort(machine);
  const ports: Bar[][] = Array.from({ length: machine.ports }, () => []);
  const spus: Bar[][] = Array.from({ length: machine.spus }, () => []);
  const sweeps: Bar[] = [];
  const deliveries: Bar[] = [];
  for (const { step, issues, rows, sweepStart, sweepEnd, sweepWaits, deliveries: delivered } of trace) {
    for (let i = 0; i < issues.length; i += ISSUE_FIELDS) {
      const [port, axon, possible, issued] = issues.slice(i, i + ISSUE_FIELDS) as [number, number, number, number];
      if (issued > possible) {
        const title = `axon ${axon} waits ${issued - possible} cycles for a full SPU`;
        ports[port]!.push({ from: possible, cycles: issued - possible, colour: COLOUR.wait, title });
      }
      ports[port]!.push({
        from: issued,
        cycles: 1,
        colour: COLOUR.issue,
        title: `axon ${axon}, machine step ${step}, cycle ${issued}`,
      });
    }
    for (let i = 0; i < rows.length; i += ROW_FIELDS) {
      const [spu, axon, first, cycles] = rows.slice(i, i + ROW_FIELDS) as [number, number, number, number];
      const title = `axon ${axon}: ${cycles} operations from cycle ${first}, machine step ${step}`;
      spus[spu]!.push({ from: first, cycles, colour: COLOUR.row, title });
    }
    if (sweepStart >= 0) {
      const title = `machine step ${step}: groups enter the merge tree, ${sweepWaits} cycles of waiting for deliveries`;
      sweeps.push({ from: sweepStart, cycles: sweepEnd - sweepStart + 1, colour: COLOUR.sweep, title });
    }
    for (let i = 0; i < delivered.length; i += DELIVERY_FIELDS) {
      const [neuron, first, cycles] = delivered.slice(i, i + DELIVERY_FIELDS) as [number, number, number];
      const title = `spike of neuron id ${neuron}, machine step ${step}`;
      deliveries.push({ from: first, cycles: Math.max(1, cycles), colour: COLOUR.delivery, title });
    }
  }
  return [
    ...ports.map((bars, q) => ({ label: `port ${q}`, bars, section: q === 0 })),
    ...spus.map((bars, p) => ({ label: `SPU ${p}`, bars, section: p % perPort === 0 })),
    { label: 'merge', bars: sweeps, section: true },
    { label: 'deliver', bars: deliveries, section: false },
  ];
}

function sumOf(list: readonly number[], fields: number, at: number): number {
  let sum = 0;
  for (let i = at; i < list.length; i += fields) sum += list[i]!;
  return sum;
}

function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least)!;
}

const round = (value: number): number => Math.round(100 * value) / 100;
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const escape = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
