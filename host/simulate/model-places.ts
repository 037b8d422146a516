/** Where the models of a simulated node are: on its device, in its host memory, on its disk; and how long it takes to change that. */
import type { ModelAtNode, ModelPlace } from '../maestro/decision.js';
import type { DeviceProfile } from './profiles.js';
import type { ModelShape } from './workload.js';

type Open<T> = { -readonly [K in keyof T]: T[K] };

export interface ModelPlaces {
  readonly places: readonly Open<ModelAtNode>[];
  /** Bytes on the device, those that are loading included. */
  readonly weightBytes: number;
  /** Begins to load, from host memory where it is there; undefined when it is on the device or on its way. */
  load(model: number, now: number): { readonly seconds: number; readonly fromHost: boolean } | undefined;
  loaded(model: number, now: number): void;
  /** Off the device, into host memory where it has room for it. False when it is not there or in use. */
  park(model: number): boolean;
  /** The node is lost: what it had is on disk. */
  lose(): void;
}

export function createModelPlaces(
  profile: DeviceProfile,
  models: readonly ModelShape[],
  resident: readonly number[],
): ModelPlaces {
  /** When it came to host memory last, and when it will be on the device. */
  const hostAt = models.map(() => -1);
  const readyAt = models.map(() => 0);
  let weightBytes = resident.reduce((sum, k) => sum + models[k]!.weightBytes, 0);

  function loadSeconds(model: ModelShape, from: ModelPlace): number {
    const perSecond = from === 'host' ? profile.hostBytesPerSecond : profile.diskBytesPerSecond;
    return model.weightBytes / perSecond + profile.warmupSeconds * (from === 'host' ? 0.25 : 1);
  }

  const places = models.map((model, k): Open<ModelAtNode> => {
    const there = resident.includes(k);
    return {
      ...{ place: there ? 'device' : 'disk', readySeconds: there ? 0 : loadSeconds(model, 'disk') },
      ...{ running: 0, usedAt: 0 },
    };
  });

  function put(k: number, place: 'host' | 'disk'): void {
    places[k]!.place = place;
    places[k]!.readySeconds = loadSeconds(models[k]!, place);
  }

  return {
    places,
    get weightBytes() {
      return weightBytes;
    },
    load(k, now) {
      const place = places[k]!;
      if (place.place === 'device' || place.place === 'loading') return undefined;
      const fromHost = place.place === 'host';
      const seconds = loadSeconds(models[k]!, place.place);
      place.place = 'loading';
      place.readySeconds = seconds;
      readyAt[k] = now + seconds;
      weightBytes += models[k]!.weightBytes;
      return { seconds, fromHost };
    },
    loaded(k, now) {
      const place = places[k]!;
      if (place.place !== 'loading' || readyAt[k]! > now + 1e-9) return;
      place.place = 'device';
      place.readySeconds = 0;
      place.usedAt = now;
    },
    park(k) {
      const place = places[k]!;
      if (place.place !== 'device' || place.running > 0) return false;
      weightBytes -= models[k]!.weightBytes;
      hostAt[k] = place.usedAt;
      // The latest stay in host memory.
      let held = models[k]!.weightBytes;
      const inHost = places.flatMap((other, m) => (other.place === 'host' ? [m] : []));
      for (const m of inHost.sort((a, b) => hostAt[b]! - hostAt[a]!)) {
        held += models[m]!.weightBytes;
        if (held > profile.hostMemoryBytes) put(m, 'disk');
      }
      put(k, models[k]!.weightBytes <= profile.hostMemoryBytes ? 'host' : 'disk');
      return true;
    },
    lose() {
      places.forEach((place, k) => {
        put(k, 'disk');
        place.running = 0;
      });
      weightBytes = 0;
    },
  };
}
