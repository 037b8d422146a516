/** A line through logarithms of service against logarithms of what callers asked for, and how much it explains. Old workflows fade. */
export interface Fit {
  count: number;
  x: number;
  xx: number;
  readonly path: { y: number; yy: number; xy: number };
  readonly work: { y: number; yy: number; xy: number };
}

const FADE = 0.995;

export function emptyFit(): Fit {
  return { count: 0, x: 0, xx: 0, path: { y: 0, yy: 0, xy: 0 }, work: { y: 0, yy: 0, xy: 0 } };
}

export function addTo(fit: Fit, x: number, path: number, work: number): void {
  fit.count = FADE * fit.count + 1;
  fit.x = FADE * fit.x + x;
  fit.xx = FADE * fit.xx + x * x;
  for (const [sums, y] of [[fit.path, path] as const, [fit.work, work] as const]) {
    sums.y = FADE * sums.y + y;
    sums.yy = FADE * sums.yy + y * y;
    sums.xy = FADE * sums.xy + x * y;
  }
}

/** Seconds, and the part of the variance that the line explains. */
export function predictFrom(fit: Fit, what: 'path' | 'work', x: number): { seconds: number; trust: number } {
  const { count } = fit;
  const sums = fit[what];
  const mx = fit.x / count;
  const my = sums.y / count;
  const vx = fit.xx / count - mx * mx;
  const vy = sums.yy / count - my * my;
  const covariance = sums.xy / count - mx * my;
  if (!(vx > 1e-9 && vy > 1e-9)) return { seconds: Math.exp(my), trust: 0 };
  const explained = Math.min(1, (covariance * covariance) / (vx * vy));
  const rest = vy * (1 - explained);
  // The mean of what is log-normal about the line.
  return { seconds: Math.exp(my + (covariance / vx) * (x - mx) + rest / 2), trust: covariance > 0 ? explained : 0 };
}
