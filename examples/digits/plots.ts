/** The spike raster and the membrane traces, drawn up to a step so that they can move. */
import { spikesAt, type SpikeTrain } from 'tutti/snn';

interface Surface {
  readonly context: CanvasRenderingContext2D;
  readonly width: number;
  readonly height: number;
  readonly colour: (name: string) => string;
}

/** A canvas at the screen's resolution, cleared. */
function surface(canvas: HTMLCanvasElement): Surface {
  const ratio = globalThis.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d')!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  // light-dark() colours reach a canvas through a computed style.
  const probe = document.createElement('span');
  document.body.append(probe);
  const colours = new Map<string, string>();
  for (const name of ['ink', 'quiet', 'line', 'accent', 'warm']) {
    probe.style.color = `var(--${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  probe.remove();
  context.font = '12px system-ui, "DejaVu Sans", sans-serif';
  return { context, width, height, colour: (name) => colours.get(name)! };
}

const LEFT = 54;
const BOTTOM = 20;

function stepLabels({ context, width, height, colour }: Surface, steps: number): (step: number) => number {
  const x = (step: number): number => LEFT + (step * (width - LEFT - 8)) / steps;
  context.fillStyle = colour('quiet');
  context.strokeStyle = colour('line');
  context.textAlign = 'center';
  for (let step = 0; step < steps; step++) {
    context.fillText(x(1) - x(0) > 48 ? `step ${step + 1}` : String(step + 1), x(step + 0.5), height - 5);
    context.beginPath();
    context.moveTo(x(step), 0);
    context.lineTo(x(step), height - BOTTOM);
    context.stroke();
  }
  return x;
}

/** Draws the first `until` steps (may be fractional) of several populations, one band above the other. */
export function drawRaster(
  canvas: HTMLCanvasElement,
  trains: readonly { name: string; train: SpikeTrain }[],
  until: number,
): void {
  const area = surface(canvas);
  const { context, height, colour } = area;
  const steps = trains[0]!.train.steps;
  const x = stepLabels(area, steps);
  const band = (height - BOTTOM) / trains.length;
  trains.forEach(({ name, train }, i) => {
    const top = i * band;
    context.fillStyle = colour('quiet');
    context.textAlign = 'left';
    context.fillText(name, 0, top + 14);
    context.fillText(`${train.neurons}`, 0, top + 30);
    context.fillStyle = i === 0 ? colour('warm') : colour('accent');
    const gap = (x(1) - x(0)) * 0.9;
    for (let step = 0; step < Math.ceil(until); step++) {
      const shown = Math.min(1, until - step);
      const spikes = spikesAt(train, step, 0);
      for (let k = 0; k < Math.floor(spikes.length * shown); k++) {
        // Within a step all spikes are simultaneous; each neuron has a place of its own there only to be seen.
        const spread = ((Math.imul(spikes[k]!, 0x9e3779b1) >>> 0) / 2 ** 32) * gap;
        context.fillRect(x(step) + 3 + spread, top + 2 + ((spikes[k]! + 0.5) / train.neurons) * (band - 6), 2.5, 2.5);
      }
    }
  });
}

/** Draws ten traces [steps][neurons] up to `until`, the winner's in the accent colour. */
export function drawTraces(
  canvas: HTMLCanvasElement,
  values: ArrayLike<number>,
  neurons: number,
  until: number,
  best: number,
): void {
  const area = surface(canvas);
  const { context, height, colour } = area;
  const steps = values.length / neurons;
  const x = stepLabels(area, steps);
  const all = Array.from(values);
  const [low, high] = [Math.min(0, ...all), Math.max(1, ...all)];
  const y = (value: number): number => 6 + ((high - value) / (high - low)) * (height - BOTTOM - 12);
  context.fillStyle = colour('quiet');
  context.textAlign = 'left';
  context.fillText(String(high), 0, 16);
  context.fillText(String(low), 0, height - BOTTOM - 4);
  const order = Array.from({ length: neurons }, (_, n) => n).filter((n) => n !== best);
  for (const n of [...order, best]) {
    context.strokeStyle = n === best ? colour('accent') : colour('quiet');
    context.globalAlpha = n === best ? 1 : 0.45;
    context.lineWidth = n === best ? 2.5 : 1;
    context.beginPath();
    context.moveTo(x(0), y(0));
    for (let step = 0; step < steps && step < until; step++) {
      const part = Math.min(1, until - step);
      const before = step === 0 ? 0 : values[(step - 1) * neurons + n]!;
      const now = values[step * neurons + n]!;
      context.lineTo(x(step + part), y(before + part * (now - before)));
    }
    context.stroke();
  }
  context.globalAlpha = 1;
}
