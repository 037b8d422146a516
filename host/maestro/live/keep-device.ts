/** A device that is opened again when it was lost, a bounded number of times, each a little later. */
import type { Device } from '../../device/device.js';

export interface KeptDevice {
  readonly device: Device;
  /** Lost, and not to come back. */
  readonly gone: boolean;
  /** Closes it, where it was opened here; it is not opened again. */
  close(): Promise<void>;
}

export interface DeviceKeeping {
  /** At once. */
  lost(): void;
  /** It is there again; what this throws makes it count as lost once more. */
  back(device: Device): Promise<void>;
  /** It will not come back. */
  given(): void;
}

/** Seconds before the second attempt; doubles each time. */
const REOPEN_SECONDS = 0.2;
const MOST_REOPENS = 5;

export async function keepDevice(given: Device | (() => Promise<Device>), keeping: DeviceKeeping): Promise<KeptDevice> {
  const open = typeof given === 'function' ? given : undefined;
  let device = typeof given === 'function' ? await given() : given;
  let gone = false;
  let closing = false;

  function follow(own: Device): void {
    void own.lost.then(() => {
      if (own !== device || closing || gone) return;
      gone = !open;
      keeping.lost();
      if (open) void openAgain(open);
    });
  }

  async function openAgain(again: () => Promise<Device>): Promise<void> {
    for (let attempt = 0; attempt < MOST_REOPENS && !closing; attempt++) {
      if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, 1000 * REOPEN_SECONDS * 2 ** (attempt - 1)));
      let opened: Device | undefined;
      try {
        opened = await again();
        await keeping.back(opened);
        device = opened;
        return follow(device);
      } catch {
        // Tried again, a little later.
        await opened?.close().catch(() => undefined);
      }
    }
    gone = true;
    if (!closing) keeping.given();
  }

  follow(device);
  return {
    get device() {
      return device;
    },
    get gone() {
      return gone;
    },
    async close() {
      closing = true;
      if (open) await device.close();
    },
  };
}
