/** A bar on standard error, where that is a terminal. */
import type { Progress } from '../device/device.js';

export interface ProgressBar {
  readonly onProgress: (progress: Progress) => void;
  stop(): void;
}

export async function progressBar(doing: string): Promise<ProgressBar> {
  if (!process.stderr.isTTY) return { onProgress: () => {}, stop: () => {} };
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format: `{bar} {percentage}% ${doing} {what}`,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(1, 0, { what: '' });
  return {
    onProgress: ({ done, total, what }) => bar.update(total > 0 ? done / total : 1, { what }),
    stop: () => bar.stop(),
  };
}
