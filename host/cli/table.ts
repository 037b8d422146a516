/** Rows of text in aligned columns; the heading is dim. Numbers stand to the right. */
import pc from 'picocolors';

export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows];
  const widths = heading.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  const right = heading.map(
    (_, i) => rows.length > 0 && rows.every((row) => /^[-\d.,]*( [%µk]?\S{0,3})?$/.test(row[i] ?? '')),
  );
  return all
    .map((row, r) => {
      const line = row
        .map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd();
      return r === 0 ? pc.dim(line) : line;
    })
    .join('\n');
}
