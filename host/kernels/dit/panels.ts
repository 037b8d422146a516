/**
 * Panels: eight rows of a matrix side by side, `[ceil(outer / 8)][inner][8]`, missing rows zero. A vector unit then takes eight results at once,
 * and each result is summed in the order of `inner`, one product after the other, on every backend.
 */
export const PANEL = 8;

/** Elements of a matrix in panels. */
export const panelElements = (inner: number, outer: number): number => Math.ceil(outer / PANEL) * PANEL * inner;

/** A row-major matrix [outer][inner] in panels. */
export function toPanels(matrix: Float32Array, inner: number, outer: number): Float32Array {
  const panels = new Float32Array(panelElements(inner, outer));
  for (let n = 0; n < outer; n++) {
    const at = Math.floor(n / PANEL) * PANEL * inner + (n % PANEL);
    for (let i = 0; i < inner; i++) panels[at + i * PANEL] = matrix[n * inner + i]!;
  }
  return panels;
}
