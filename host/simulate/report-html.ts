/**
 * A comparison as one HTML file that needs nothing else: deadlines met against load, latencies, memory over time, who ran where. The plots are uPlot's, whose script and
 * style the caller hands in.
 */
import type { ExperimentCell, ExperimentReport } from './experiment.js';
import type { StageSpan } from './metrics.js';

export interface PlotLibrary {
  /** Text of uPlot.iife.min.js and of uPlot.min.css. */
  readonly script: string;
  readonly style: string;
}

const COLOURS = ['#4269d0', '#ff725c', '#6cc5b0', '#3ca951', '#ff8ab7', '#a463f2', '#97bbf5', '#9c6b4e', '#9498a0'];
const OWN = '#d62728';
const ORACLE = '#333333';

export function colourOf(name: string, index: number): string {
  return name === 'maestro' ? OWN : name === 'oracle' ? ORACLE : COLOURS[index % COLOURS.length]!;
}

const asText = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const rounded = (value: number, digits = 3): number | null =>
  Number.isFinite(value) ? Number(value.toPrecision(digits)) : null;

interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly { readonly label: string; readonly colour: string; readonly dash?: boolean }[];
  /** The first row are the positions, ascending. */
  readonly data: readonly (readonly (number | null)[])[];
}

function attainmentPlot({ names, loads, cells }: ExperimentReport): Plot {
  const of = (name: string) => loads.map((load) => cells.find((c) => c.name === name && c.load === load));
  return {
    ...{ title: 'Workflows that met their deadlines', x: 'load', y: '%' },
    series: names.map((label, k) => ({ label, colour: colourOf(label, k), dash: label === 'oracle' })),
    data: [loads, ...names.map((name) => of(name).map((cell) => rounded(100 * (cell?.attained.mean ?? Number.NaN))))],
  };
}

/** Parts of workflows that took at most so long. */
function latencyPlot(cells: readonly ExperimentCell[], names: readonly string[]): Plot {
  const steps = Array.from({ length: 100 }, (_, k) => (k + 1) / 100);
  const all = cells.map(({ results }) => results[0]!.latencies);
  const points = [
    ...new Set(all.flatMap((l) => steps.map((q) => l[Math.min(l.length - 1, Math.floor(q * l.length))]!))),
  ]
    .filter((at) => at > 0)
    .sort((a, b) => a - b);
  const part = (sorted: Float64Array, at: number): number => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return low / Math.max(1, sorted.length);
  };
  return {
    ...{ title: 'Latency of workflows that ended (cumulative)', x: 'seconds', y: '%' },
    series: cells.map(({ name }) => ({ label: name, colour: colourOf(name, names.indexOf(name)) })),
    data: [points.map((p) => rounded(p, 4)), ...all.map((l) => points.map((p) => rounded(100 * part(l, p))))],
  };
}

function memoryPlot({ name, results }: ExperimentCell): Plot {
  const { memory } = results[0]!;
  const gigabytes = (pick: (sample: (typeof memory)[number]) => number) => memory.map((s) => rounded(pick(s) / 1e9));
  return {
    ...{ title: `Memory under ${name}, all nodes`, x: 'seconds', y: 'GB' },
    series: [
      { label: 'weights', colour: COLOURS[8]! },
      { label: 'set aside for keys and values', colour: COLOURS[0]! },
      { label: 'of that used', colour: COLOURS[3]! },
      { label: 'cached beginnings', colour: COLOURS[5]! },
    ],
    data: [
      memory.map(({ at }) => rounded(at, 5)),
      gigabytes((s) => s.weights),
      gigabytes((s) => s.reserved),
      gigabytes((s) => s.used),
      gigabytes((s) => s.idle),
    ],
  };
}

/** Stages as bars, a lane for each that runs at the same time on a node, over the first part of the run. */
export function ganttSvg(spans: readonly StageSpan[], models: readonly string[], seconds: number): string {
  const shown = spans.filter(({ from }) => from < seconds).sort((a, b) => a.from - b.from);
  const nodes = [...new Set(shown.map(({ node }) => node))].sort((a, b) => a - b);
  const [width, laneHeight, left] = [1000, 6, 60];
  const scale = (width - left) / seconds;
  let top = 20;
  const parts: string[] = [];
  for (const node of nodes) {
    const ends: number[] = [];
    const own: string[] = [];
    for (const span of shown) {
      if (span.node !== node) continue;
      let lane = ends.findIndex((end) => end <= span.from);
      if (lane < 0) lane = ends.length;
      ends[lane] = span.to;
      const to = Math.min(seconds, span.to);
      own.push(
        `<rect x="${(left + span.from * scale).toFixed(1)}" y="${top + lane * laneHeight}" width="${Math.max(0.5, (to - span.from) * scale).toFixed(1)}" height="${laneHeight - 1}" fill="${COLOURS[span.model % COLOURS.length]}"><title>${asText(`${span.workflow} ${span.role}: ${span.from.toFixed(1)} to ${span.to.toFixed(1)} s`)}</title></rect>`,
      );
    }
    parts.push(`<text x="0" y="${top + 10}">node ${node}</text>`, ...own);
    top += Math.max(3, ends.length) * laneHeight + 10;
  }
  const legend = models
    .map((name, k) => `<tspan fill="${COLOURS[k % COLOURS.length]}">■</tspan> ${asText(name)}  `)
    .join('');
  return `<svg viewBox="0 0 ${width} ${top}" width="${width}" height="${top}" xmlns="http://www.w3.org/2000/svg" font-size="11" font-family="sans-serif"><text x="${left}" y="12">0 to ${seconds.toFixed(0)} s  ${legend}</text>${parts.join('')}</svg>`;
}

function resultTable({ names, loads, cells }: ExperimentReport): string {
  const rows = names.map((name) => {
    const own = loads.map((load) => {
      const { attained } = cells.find((c) => c.name === name && c.load === load)!;
      const half = Number.isFinite(attained.half) ? ` ± ${(100 * attained.half).toFixed(1)}` : '';
      return `<td>${(100 * attained.mean).toFixed(1)}${half}</td>`;
    });
    return `<tr><th>${asText(name)}</th>${own.join('')}</tr>`;
  });
  return `<table><tr><th>% met</th>${loads.map((load) => `<th>load ${load}</th>`).join('')}</tr>${rows.join('')}</table>`;
}

const DRAW = `
for (const [k, plot] of plots.entries()) {
  const own = plot.series.map((s) => ({ label: s.label, stroke: s.colour, width: 2, dash: s.dash ? [6, 4] : undefined }));
  new uPlot({
    title: plot.title, width: 1000, height: 360, scales: { x: { time: false } },
    axes: [{ label: plot.x }, { label: plot.y }], series: [{ label: plot.x }, ...own],
  }, plot.data, document.getElementById('plot-' + k));
}`;

/** `title` and everything else is shown as text. The Gantt chart and the memory are those of the last policy that is called Maestro, or of the last. */
export function renderReport(report: ExperimentReport, library: PlotLibrary, title: string): string {
  const { cells, loads, names } = report;
  const last = loads.at(-1)!;
  const atLast = cells.filter(({ load }) => load === last);
  const chosen = atLast.find(({ name }) => name === 'maestro') ?? atLast.at(-1)!;
  const plots = [attainmentPlot(report), latencyPlot(atLast, names), memoryPlot(chosen)];
  const { spans } = chosen.results[0]!;
  const models = chosen.results[0]!.models;
  const until = Math.min(chosen.results[0]!.seconds, Math.max(60, ...spans.slice(0, 400).map(({ to }) => to)));
  const json = JSON.stringify(plots).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${asText(title)}</title>
<style>${library.style}
body{font:14px sans-serif;margin:2em auto;max-width:1040px;color:#222}table{border-collapse:collapse}td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}th:first-child{text-align:left}.plot,svg{margin:1.5em 0}p{max-width:50em}</style>
<h1>${asText(title)}</h1>
<p>Load 1 is ${report.capacity.toPrecision(3)} workflows a second. ${asText(report.note)} ± is half of the 95 % interval over seeds.</p>
${resultTable(report)}
${plots.map((_, k) => `<div class="plot" id="plot-${k}"></div>`).join('\n')}
<h2>Stages under ${asText(chosen.name)} at load ${last}</h2>
${ganttSvg(spans, models, until)}
<script>${library.script}</script>
<script>const plots = ${json};${DRAW}</script>
</html>
`;
}
