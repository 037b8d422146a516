/**
 * Several models on one device, under its one budget: those that are used are on the device, others wait in host memory or in their files, and whoever was
 * used longest ago makes room. Nothing that is in use is ever moved.
 */
import type { LongCallOptions } from '../../device/device.js';
import { TuttiError } from '../../errors.js';
import type { ByteSource } from '../byte-source.js';
import type { WeightStash } from '../model/decoder-weights.js';
import type { ModelFile } from '../model/model-file.js';
import { openLanguageModel, type LanguageModel, type LanguageModelOptions } from './engine.js';

/** Where a model's weights are. */
export type ModelPlace = 'device' | 'host' | 'file';

export interface HostedModel {
  readonly name: string;
  readonly place: ModelPlace;
  /** Bytes of weights in host memory. */
  readonly hostBytes: number;
  /** Leases that were not given back, and requests under way. */
  readonly active: number;
  /** Milliseconds that the last load took, from host memory and from the file. */
  readonly loadTimes: Readonly<Partial<Record<'host' | 'file', number>>>;
}

export interface ModelLease {
  readonly model: LanguageModel;
  /** The model may be moved away when nobody holds a lease and nothing runs. */
  release(): void;
}

export interface ModelHost {
  readonly models: readonly HostedModel[];
  /** Names a model; nothing is loaded yet. @throws TuttiError OPTION_INVALID for a name that is taken */
  add(name: string, source: ByteSource | ModelFile, options: LanguageModelOptions): void;
  /**
   * The model, on its device; others make room when they must.
   * @throws TuttiError INPUT_INVALID for an unknown name; MemoryRefusedError when there is no room even without those that are idle; what loading throws
   */
  use(name: string, options?: LongCallOptions): Promise<ModelLease>;
  /** Off the device, weights into host memory. @throws TuttiError INPUT_INVALID when it is in use */
  park(name: string): Promise<void>;
  /** Off the device and out of host memory. @throws TuttiError INPUT_INVALID when it is in use */
  unload(name: string): Promise<void>;
  close(): Promise<void>;
}

interface Entry {
  readonly name: string;
  readonly source: ByteSource | ModelFile;
  readonly options: LanguageModelOptions;
  model: LanguageModel | undefined;
  stash: WeightStash | undefined;
  leases: number;
  used: number;
  loadTimes: Partial<Record<'host' | 'file', number>>;
}

const stashBytes = (stash: WeightStash | undefined): number =>
  [...(stash?.values() ?? [])].reduce((sum, { byteLength }) => sum + byteLength, 0);

/** `hostBytes`: most bytes of weights in host memory. Default 2 GiB. */
export function createModelHost({ hostBytes = 2 ** 31 }: { readonly hostBytes?: number } = {}): ModelHost {
  const entries = new Map<string, Entry>();
  let clock = 0;
  /** Loads and moves happen one after the other. */
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const done = queue.then(task, task);
    queue = done.catch(() => undefined);
    return done;
  };
  const entryOf = (name: string): Entry => {
    const entry = entries.get(name);
    if (entry) return entry;
    throw new TuttiError(
      'INPUT_INVALID',
      `there is no model ${JSON.stringify(name)}; there are ${[...entries.keys()].join(', ') || 'none'}`,
      { where: 'model' },
    );
  };
  const placeOf = ({ model, stash }: Entry): ModelPlace => (model ? 'device' : stash ? 'host' : 'file');
  const activeOf = ({ leases, model }: Entry): number => leases + (model?.usage.running ?? 0);
  const idleOnly = (entry: Entry): void => {
    if (activeOf(entry) === 0) return;
    throw new TuttiError('INPUT_INVALID', `${entry.name} is in use; give its leases back first`, { where: entry.name });
  };

  async function moveAway(entry: Entry, keep: boolean): Promise<void> {
    const { model } = entry;
    if (model) {
      const held = [...entries.values()].reduce((sum, { stash }) => sum + stashBytes(stash), 0);
      entry.model = undefined;
      if (keep && held + model.weightBytes <= hostBytes) entry.stash = await model.park();
      else await model.close();
    }
    if (!keep) entry.stash = undefined;
  }

  async function load(entry: Entry, options: LongCallOptions): Promise<LanguageModel> {
    const from = entry.stash ? 'host' : 'file';
    for (;;) {
      try {
        const begun = performance.now();
        const model = await openLanguageModel(entry.source, {
          ...entry.options,
          ...options,
          ...(entry.stash && { stash: entry.stash }),
        });
        entry.loadTimes = { ...entry.loadTimes, [from]: performance.now() - begun };
        entry.stash = undefined;
        return model;
      } catch (error) {
        if (!(error instanceof TuttiError) || error.code !== 'MEMORY_REFUSED') throw error;
        const { device } = entry.options;
        const [longest] = [...entries.values()]
          .filter((other) => other.model && other.options.device === device && activeOf(other) === 0)
          .sort((a, b) => a.used - b.used);
        if (!longest) throw error;
        await moveAway(longest, true);
      }
    }
  }

  return {
    get models() {
      return [...entries.values()].map((entry) => ({
        name: entry.name,
        place: placeOf(entry),
        hostBytes: stashBytes(entry.stash),
        active: activeOf(entry),
        loadTimes: entry.loadTimes,
      }));
    },
    add(name, source, options) {
      if (entries.has(name))
        throw new TuttiError('OPTION_INVALID', `there is a model ${JSON.stringify(name)} already`, { where: 'name' });
      entries.set(name, {
        ...{ name, source, options, model: undefined, stash: undefined, leases: 0, used: 0, loadTimes: {} },
      });
    },
    use: (name, options = {}) =>
      inTurn(async () => {
        const entry = entryOf(name);
        const model = (entry.model ??= await load(entry, options));
        entry.leases++;
        entry.used = ++clock;
        let held = true;
        return {
          model,
          release() {
            if (held) entry.leases--;
            held = false;
          },
        };
      }),
    park: (name) =>
      inTurn(async () => {
        const entry = entryOf(name);
        idleOnly(entry);
        await moveAway(entry, true);
      }),
    unload: (name) =>
      inTurn(async () => {
        const entry = entryOf(name);
        idleOnly(entry);
        await moveAway(entry, false);
      }),
    close: () =>
      inTurn(async () => {
        for (const entry of entries.values()) {
          entry.stash = undefined;
          await entry.model?.close();
          entry.model = undefined;
        }
        entries.clear();
      }),
  };
}
