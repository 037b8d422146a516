/**
 * Sequences over one decoder: who is in the next iteration, which blocks hold what, and what happens when there are too few of them. Sequences share whole
 * blocks of equal beginnings; a sequence that has to give way is kept elsewhere and comes back without being computed again, or is computed again, whichever costs
 * less; the pool grows when it may. What becomes of logits is the caller's affair.
 */
import { TuttiError } from '../../errors.js';
import type { BlockPool } from '../kv/block-pool.js';
import type { KvMemory, KvWire } from '../kv/kv-memory.js';
import type { KvStore, KvTicket } from '../kv/kv-store.js';
import { choosePause, measuredRate } from '../kv/pause-cost.js';
import type { Decoder } from '../model/decoder.js';
import type { LoopWatch } from './loop-watch.js';
import { planIteration } from './plan-iteration.js';
import { rowsOfBatch } from './rows-of-batch.js';
import type { AfterToken, Sequence, SequenceHoldings, SequenceInput } from './sequence.js';
import { nextTurn } from './turn.js';

export interface BatchLoop {
  readonly counts: Readonly<LoopCounts>;
  readonly active: number;
  /** Between device and host, as it was measured. */
  readonly movingBytesPerSecond: number;
  add(input: SequenceInput): Sequence;
  /** Ends it and frees what it holds. */
  remove(sequence: Sequence): void;
  /** Undoes 'wait' and `pause`. */
  goOn(sequence: Sequence): void;
  /** Takes it out of the iterations, its blocks packed away (or, where they are not to be kept, given up); resolves when they are free. */
  pause(sequence: Sequence, keep?: boolean): Promise<void>;
  /** Pauses it and gives its keys and values away; it has ended here then. */
  detach(sequence: Sequence): Promise<{ readonly computed: number; readonly wire: KvWire }>;
  /**
   * Calls `start` between two iterations; the sequence that it attaches has come as far as this one: packed blocks are shared, the block that is being filled is
   * copied. Where there is no room for that, it computes what it needs.
   */
  fork<T>(sequence: Sequence, start: (attach: (input: SequenceInput) => Sequence) => T): Promise<T>;
  /** More blocks for a sequence, or fewer (negative). False when there are not so many. */
  reserve(sequence: Sequence, blocks: number): boolean;
  /** What it holds; undefined when it has ended. */
  holds(sequence: Sequence): SequenceHoldings | undefined;
  /** How much of a prompt is in the pool: tokens, and those of them that sequences run on. */
  cached(tokens: readonly number[]): { readonly tokens: number; readonly pinned: number };
  /** Changes the pool's size, packing sequences away when it has to. */
  resize(blocks: number): Promise<void>;
  /** Gives up to so many blocks that nobody holds back to the device, beginnings that are cached in them too. Resolves with how many went. */
  trim(blocks: number): Promise<number>;
  /** Runs between two iterations. */
  between<T>(task: () => Promise<T>): Promise<T>;
  /** Frees the blocks of sequences that wait. */
  freeIdle(): Promise<void>;
  /** Fails every sequence and resolves when nothing runs. */
  close(error: Error): Promise<void>;
}

export interface LoopCounts {
  reused: number;
  computed: number;
  /** Sequences that had to give their blocks back; how many of them were kept elsewhere. */
  evictions: number;
  kept: number;
  restored: number;
}

export interface BatchLoopRoom {
  readonly decoder: Decoder;
  readonly kv: KvMemory;
  readonly pool: BlockPool;
  readonly tails: BlockPool;
  readonly store: KvStore;
  /** The pool may grow to so many blocks. */
  readonly mostBlocks: number;
  readonly watch?: LoopWatch | undefined;
  readonly limits: { readonly rows: number; readonly sequences: number; readonly blockSize: number };
}

interface State extends Sequence {
  readonly input: SequenceInput;
  reused: number;
  computed: number;
  blocks: number[];
  /** What the blocks that were cached so far hold, by the pool's numbers: each stands for all tokens up to its end. */
  contents: number[];
  /** The block that is being filled. */
  tail: number | undefined;
  /** Of the reservation: what it does not hold yet, once it has begun. */
  reserve: number;
  reserved: number;
  /** Keys and values that wait elsewhere. */
  away: { readonly ticket: KvTicket; readonly wire: Omit<KvWire, 'data'> } | undefined;
  /** Out of the iterations: nobody takes its tokens, or it was paused. */
  waiting: boolean;
  ended: boolean;
}

/** First guesses; what is measured takes their place. */
const PREFILL_GUESS = 200;
const MOVE_GUESS = 1e9;
/** Iterations after which a pool that could not grow is tried again. */
const GROW_AGAIN = 64;

export function createBatchLoop(room: BatchLoopRoom): BatchLoop {
  const { decoder, kv, pool, tails, store, limits, mostBlocks, watch } = room;
  const { blockSize } = limits;
  const states = new Map<number, State>();
  const tasks: (() => Promise<void>)[] = [];
  const counts: LoopCounts = { reused: 0, computed: 0, evictions: 0, kept: 0, restored: 0 };
  const prefill = measuredRate(PREFILL_GUESS);
  const moving = measuredRate(MOVE_GUESS);
  let nextId = 0;
  let looping: Promise<void> | undefined;
  let iterations = 0;
  let growNotBefore = 0;

  const isResident = (s: State): boolean => s.blocks.length > 0 || s.tail !== undefined || s.reserved > 0;
  const stateOf = (sequence: Sequence): State | undefined => states.get(sequence.id);

  /** What names a block: its tokens, behind what is before them (the pool's number of it). */
  const blockKey = (tokens: readonly number[], block: number, before: number | undefined): string =>
    `${before ?? ''}/${tokens.slice(block * blockSize, (block + 1) * blockSize).join(',')}`;
  const keyOf = (s: State, block: number): string => blockKey(s.input.tokens, block, s.contents[block - 1]);

  /** Takes whole blocks that another sequence has computed already; the last token is computed in any case. */
  function reuse(s: State): void {
    for (let block = 0; (block + 1) * blockSize < s.input.tokens.length; block++) {
      const found = pool.lookUp(keyOf(s, block));
      if (found === undefined) break;
      s.blocks.push(found.block);
      s.contents.push(found.content);
      s.computed += blockSize;
      s.reused += blockSize;
      counts.reused += blockSize;
    }
  }

  function giveBack(s: State): void {
    // From the end, so that beginnings, which others are likelier to share, are dropped last.
    for (const block of s.blocks.reverse()) pool.release(block);
    if (s.tail !== undefined) tails.release(s.tail);
    if (s.reserved > 0) pool.reserve(-s.reserved);
    s.blocks = [];
    s.contents = [];
    s.tail = undefined;
    s.reserved = 0;
  }

  function end(s: State): void {
    if (s.ended) return;
    s.ended = true;
    states.delete(s.id);
    giveBack(s);
    void s.away?.ticket.drop();
    s.away = undefined;
  }

  function fail(s: State, error: Error): void {
    end(s);
    s.input.failed(error);
  }

  /** Takes a sequence's keys and values off the device. */
  async function takeAway(s: State): Promise<KvWire> {
    const begun = performance.now();
    const wire = await kv.take(s.blocks, s.tail === undefined ? [] : [s.tail]);
    moving.note(wire.data.byteLength, performance.now() - begun);
    return wire;
  }

  /** Frees what a sequence holds: kept elsewhere where there is room ('always'), where that costs less than computing it again, or not. */
  async function packAway(s: State, keep: 'always' | 'cheaper' | 'never' = 'cheaper'): Promise<void> {
    if (!isResident(s)) return;
    const bytes = s.blocks.length * kv.blockBytes + (s.tail === undefined ? 0 : kv.tailBytes);
    const rates = { prefillTokensPerSecond: prefill.perSecond, bytesPerSecond: moving.perSecond };
    const place = store.room(bytes);
    const kept = keep === 'always' || (keep === 'cheaper' && choosePause(s.computed, bytes, rates).keep);
    if (s.computed > 0 && place && kept) {
      const wire = await takeAway(s);
      const ticket = s.ended ? undefined : await store.keep(wire.data);
      if (s.ended) return void (await ticket?.drop());
      s.away = { ticket: ticket!, wire: { plan: wire.plan, blocks: wire.blocks, tails: wire.tails } };
      counts.kept++;
    } else {
      s.computed = 0;
    }
    giveBack(s);
  }

  /** Brings a sequence back, or lets it begin. False when there is no room after all. */
  async function admit(s: State): Promise<boolean> {
    if (!pool.reserve(s.reserve)) return false;
    s.reserved = s.reserve;
    if (!s.away) {
      reuse(s);
      return true;
    }
    const { ticket, wire: rest } = s.away;
    const mine = allocate(s, rest.blocks);
    if (!mine) {
      giveBack(s);
      return false;
    }
    s.blocks = mine;
    if (rest.tails > 0) s.tail = tails.allocate(1)![0]!;
    s.away = undefined;
    const wire = { data: await ticket.take(), ...rest };
    if (s.ended) return false;
    await kv.put(wire, s.blocks, s.tail === undefined ? [] : [s.tail]);
    counts.restored++;
    return !s.ended;
  }

  function allocate(s: State, count: number): number[] | undefined {
    const own = Math.min(s.reserved, count);
    const blocks = pool.allocate(count, own);
    if (blocks) s.reserved -= own;
    return blocks;
  }

  /** Blocks that are in use move to where the pool will be. False when they are too many for it. */
  async function resizePool(blocks: number): Promise<boolean> {
    const moves = pool.resize(blocks);
    if (!moves) return false;
    const renamed = new Map(moves);
    for (const s of states.values()) s.blocks = s.blocks.map((block) => renamed.get(block) ?? block);
    await kv.move(moves);
    return true;
  }

  async function tryGrow(missing: number): Promise<boolean> {
    if (pool.blocks >= mostBlocks || iterations < growNotBefore) return false;
    for (const more of [Math.max(missing, Math.ceil(pool.blocks / 2)), missing]) {
      const size = Math.min(mostBlocks, pool.blocks + more);
      try {
        await kv.resize(size);
        pool.resize(size);
        return true;
      } catch (error) {
        if (!(error instanceof TuttiError) || error.code !== 'MEMORY_REFUSED') throw error;
      }
    }
    growNotBefore = iterations + GROW_AGAIN;
    return false;
  }

  /** `first` is computing what `s` begins with, or will: waiting for it is sooner than computing it twice. */
  function comesFrom(first: State, s: State): boolean {
    const most = Math.min(s.input.tokens.length - 1, first.input.tokens.length);
    let common = 0;
    while (common < most && s.input.tokens[common] === first.input.tokens[common]) common++;
    return Math.floor(common / blockSize) * blockSize > first.computed;
  }

  function planned(): ReturnType<typeof planIteration> {
    const order = [...states.values()]
      .filter((s) => !s.waiting)
      .sort((a, b) => b.input.priority - a.input.priority || a.id - b.id);
    const computing: State[] = [];
    const ready = order.filter((s) => {
      const begins = !isResident(s) && !s.away;
      if (begins && computing.some((first) => comesFrom(first, s))) return false;
      if (s.input.tokens.length - s.computed > 1) computing.push(s);
      return true;
    });
    return planIteration(
      ready.map((s) => ({
        ...{ id: s.id, priority: s.input.priority, arrival: s.id, tokens: s.input.tokens.length },
        ...{ computed: s.computed, blocks: s.blocks.length, resident: isResident(s) },
        reserved: isResident(s) ? s.reserved : s.reserve,
      })),
      { ...limits, freeBlocks: pool.free },
    );
  }

  /** One sequence's part of a batch: its blocks, its rows. */
  interface Part {
    readonly s: State;
    readonly rows: number;
    /** Tail block of each block that the rows touch, from the first on. */
    readonly tails: readonly number[];
  }

  /** Finds blocks for up to `most` rows. */
  function prepare(s: State, most: number): Part | undefined {
    let rows = Math.min(most, s.input.tokens.length - s.computed);
    for (;;) {
      const more = Math.floor((s.computed + rows) / blockSize) - s.blocks.length;
      const blocks = more > 0 ? allocate(s, more) : [];
      if (blocks) {
        s.blocks.push(...blocks);
        break;
      }
      // One block less.
      rows = (s.blocks.length + more) * blockSize - 1 - s.computed;
      if (rows <= 0) return undefined;
    }
    const first = Math.floor(s.computed / blockSize);
    const touched = Math.floor((s.computed + rows - 1) / blockSize) - first + 1;
    const fresh = tails.allocate(touched - (s.tail === undefined ? 0 : 1));
    if (!fresh) return undefined;
    const own = s.tail === undefined ? fresh : [s.tail, ...fresh];
    s.tail = undefined;
    return { s, rows, tails: own };
  }

  /** Sequences that wait and hold blocks all the same, as long as nobody else needs them. */
  const idleOnes = (): State[] => [...states.values()].filter((s) => s.waiting && isResident(s));

  /** No more of them than places in the tail that are meant for them. */
  async function makeRoom(): Promise<void> {
    for (const s of idleOnes().slice(0, -limits.sequences)) await packAway(s);
  }

  /** Plans the next iteration; while blocks are missing for it, whoever can gives way, and the pool grows where it may. */
  async function planWithRoom(): Promise<ReturnType<typeof planIteration>> {
    let plan = planned();
    // Those that nobody reads give way first.
    for (let idle = idleOnes(); plan.missing > 0 && idle.length > 0; idle = idleOnes()) {
      await packAway(idle[0]!);
      plan = planned();
    }
    if (plan.missing > 0 && (await tryGrow(plan.missing))) plan = planned();
    // Asked once more when growing was no good after all.
    for (let asked = 0; asked < 2 && plan.missing > 0 && watch?.short; asked++) {
      const { grow, leave } = await watch.short({ missing: plan.missing, outgrown: plan.outgrown });
      for (const { sequence, keep } of leave) {
        const s = stateOf(sequence);
        if (!s) continue;
        s.waiting = true;
        await packAway(s, keep ? 'always' : 'never');
      }
      if (grow) growNotBefore = 0;
      plan = planned();
      if (!grow) break;
      if (plan.missing > 0 && (await tryGrow(plan.missing))) plan = planned();
    }
    return plan;
  }

  async function iterate(): Promise<void> {
    iterations++;
    const { steps, evicted } = await planWithRoom();
    for (const id of evicted) {
      const s = states.get(id);
      if (!s) continue;
      counts.evictions++;
      await packAway(s);
    }
    const parts: Part[] = [];
    for (const { id, rows } of steps) {
      const s = states.get(id);
      if (!s || s.waiting) continue;
      if (!isResident(s) && !(await admit(s))) continue;
      if (s.ended) continue;
      const part = prepare(s, rows);
      if (part) parts.push(part);
    }
    const live = parts.filter(({ s }) => !s.ended);
    for (const { s, tails: own } of parts) if (s.ended) own.forEach((tail) => tails.release(tail));
    if (live.length === 0) {
      // What was evicted was shared, and freed less than was counted on: plan again with what there is.
      if (evicted.length === 0 && parts.length === 0) refuseFirst();
      return;
    }
    const begun = performance.now();
    const decoding = live.filter(({ s }) => s.input.tokens.length - s.computed === 1).length;
    const { rows, sampled, after } = await runBatch(live);
    const took = performance.now() - begun;
    if (rows >= 8) prefill.note(rows, took);
    if (watch?.measured) {
      const context = live.reduce((sum, { s, rows: own }) => sum + own * (s.computed - (own - 1) / 2), 0);
      watch.measured({ decoding, prompt: rows - decoding, context, seconds: took / 1e3 });
    }
    counts.computed += rows;
    sampled.forEach((s, k) => {
      if (s.ended) return;
      let next: 'next' | 'end' | 'wait';
      try {
        next = s.input.output(after(k));
      } catch (error) {
        // Its own affair: the others go on.
        fail(s, error instanceof Error ? error : new Error(String(error)));
        return;
      }
      if (next === 'end') end(s);
      else if (next === 'wait') s.waiting = true;
    });
    await makeRoom();
  }

  interface Computed {
    readonly rows: number;
    readonly sampled: readonly State[];
    /** Of the k-th of `sampled`. */
    readonly after: (k: number) => AfterToken;
  }

  async function runBatch(parts: readonly Part[]): Promise<Computed> {
    const { batch, sampled: indices } = rowsOfBatch(
      parts.map(({ s, ...part }) => ({ ...part, tokens: s.input.tokens, computed: s.computed, blocks: s.blocks })),
      blockSize,
    );
    for (const { s, rows } of parts) s.computed += rows;
    const sampled = indices.map((k) => parts[k]!.s);
    const greedy = sampled.every((s) => s.input.greedy);
    const running = greedy ? decoder.best(batch) : decoder.run(batch);
    try {
      const result = await running;
      const { vocabulary } = decoder.config;
      const after = (k: number): AfterToken =>
        result instanceof Uint32Array
          ? { best: result[k]! }
          : { logits: result.subarray(k * vocabulary, (k + 1) * vocabulary) };
      return { rows: batch.tokens.length, sampled, after };
    } finally {
      for (const { s, tails: own } of parts) {
        // The last one goes on being filled, the others are packed.
        const open = !s.ended && s.computed % blockSize !== 0 ? own.at(-1) : undefined;
        for (const tail of own) if (tail !== open) tails.release(tail);
        s.tail = open;
        if (!s.ended) noteContents(s);
      }
    }
  }

  function noteContents(s: State): void {
    while ((s.contents.length + 1) * blockSize <= s.computed) {
      const block = s.contents.length;
      s.contents.push(pool.cache(s.blocks[block]!, keyOf(s, block)));
    }
  }

  /** Nobody can go on: the pool is too small for the one that comes first. */
  function refuseFirst(): void {
    const first = [...states.values()]
      .filter((s) => !s.waiting)
      .sort((a, b) => b.input.priority - a.input.priority || a.id - b.id)[0];
    if (!first) return;
    const { length } = first.input.tokens;
    fail(
      first,
      new TuttiError(
        'LIMIT_EXCEEDED',
        `a sequence of ${length} tokens${first.reserve > 0 ? ` that reserves ${first.reserve} blocks` : ''} needs more than the pool's ${pool.blocks} blocks of ${blockSize}; open the model with more blocks`,
        { where: 'blocks', facts: { blocks: pool.blocks, blockSize, tokens: length } },
      ),
    );
  }

  const busy = (): boolean => tasks.length > 0 || [...states.values()].some((s) => !s.waiting);

  function failAll(error: Error): void {
    for (const s of [...states.values()]) fail(s, error);
  }

  /** Iterates while there is anything to do. */
  function run(): void {
    looping ??= (async () => {
      try {
        while (busy()) {
          for (let task = tasks.shift(); task; task = tasks.shift()) await task();
          if (busy()) await iterate();
          await nextTurn();
        }
      } catch (error) {
        failAll(error instanceof Error ? error : new Error(String(error)));
      } finally {
        looping = undefined;
        if (tasks.length > 0) run();
      }
    })();
  }

  function between<T>(task: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      tasks.push(() => task().then(resolve, reject));
      run();
    });
  }

  function add(input: SequenceInput): State {
    const { adopted } = input;
    const s: State = {
      ...{ id: nextId++, input, reused: 0, computed: adopted?.computed ?? 0, blocks: [], contents: [] },
      ...{ tail: undefined, reserve: input.reserve, reserved: 0, away: undefined, waiting: false, ended: false },
    };
    if (adopted) {
      const { data, ...wire } = adopted.wire;
      let kept: Uint8Array | undefined = data;
      const take = (): Promise<Uint8Array> => {
        const had = kept!;
        kept = undefined;
        return Promise.resolve(had);
      };
      s.away = { ticket: { bytes: data.byteLength, take, drop: () => Promise.resolve() }, wire };
    }
    states.set(s.id, s);
    return s;
  }

  const ended = (): TuttiError =>
    new TuttiError('INPUT_INVALID', 'the sequence has ended; only one that is under way can be paused or moved', {
      where: 'sequence',
    });

  return {
    counts,
    get movingBytesPerSecond() {
      return moving.perSecond;
    },
    get active() {
      return states.size;
    },
    add(input) {
      const s = add(input);
      run();
      return s;
    },
    remove(sequence) {
      const s = stateOf(sequence);
      if (s) end(s);
    },
    goOn(sequence) {
      const s = stateOf(sequence);
      if (!s?.waiting) return;
      s.waiting = false;
      run();
    },
    pause: (sequence, keep = true) =>
      between(async () => {
        const s = stateOf(sequence);
        if (!s) throw ended();
        s.waiting = true;
        await packAway(s, keep ? 'always' : 'never');
      }),
    detach: (sequence) =>
      between(async () => {
        const s = stateOf(sequence);
        if (!s) throw ended();
        s.waiting = true;
        let wire: KvWire;
        if (s.away) wire = { data: await s.away.ticket.take(), ...s.away.wire };
        else wire = await takeAway(s);
        s.away = undefined;
        const { computed } = s;
        end(s);
        return { computed, wire };
      }),
    fork: (sequence, start) =>
      between(async () => {
        const s = stateOf(sequence);
        if (!s) throw ended();
        let copied: readonly [number, number] | undefined;
        const begun = start((input) => {
          const other = add(input);
          const running = [...states.values()].filter((one) => !one.waiting && isResident(one)).length;
          if (!isResident(s) || running >= limits.sequences) return other;
          const tail = s.tail === undefined ? [] : tails.allocate(1);
          if (!tail || !pool.reserve(other.reserve)) {
            for (const block of tail ?? []) tails.release(block);
            return other;
          }
          for (const block of s.blocks) pool.retain(block);
          other.reserved = other.reserve;
          other.blocks = s.blocks.slice();
          other.contents = s.contents.slice();
          other.computed = s.computed;
          [other.tail] = tail;
          if (s.tail !== undefined) copied = [s.tail, tail[0]!];
          return other;
        });
        if (copied) await kv.copyTail(...copied);
        return begun;
      }),
    reserve(sequence, blocks) {
      const s = stateOf(sequence);
      if (!s || s.reserve + blocks < 0) return false;
      if (isResident(s)) {
        const change = Math.max(blocks, -s.reserved);
        if (!pool.reserve(change)) return false;
        s.reserved += change;
      }
      s.reserve += blocks;
      return true;
    },
    holds(sequence) {
      const s = stateOf(sequence);
      if (!s) return undefined;
      const resident = isResident(s);
      return {
        ...{ tokens: s.input.tokens.length, computed: s.computed, blocks: s.blocks.length, resident },
        reserved: resident ? s.reserved : s.reserve,
      };
    },
    cached(tokens) {
      let before: number | undefined;
      let found = 0;
      let pinned = 0;
      // The last token is computed in any case.
      for (let block = 0; (block + 1) * blockSize < tokens.length; block++) {
        const held = pool.peek(blockKey(tokens, block, before));
        if (!held) break;
        before = held.content;
        found += blockSize;
        if (held.references > 0) pinned = found;
      }
      return { tokens: found, pinned };
    },
    trim: (blocks) =>
      between(async () => {
        const size = Math.max(1, pool.used + pool.reserved, pool.blocks - blocks);
        const before = pool.blocks;
        if (size >= before) return 0;
        if (!(await resizePool(size))) return 0;
        try {
          await kv.resize(size);
        } catch (error) {
          // No room to copy what stays: the pool is smaller, its memory goes back some other time.
          if (error instanceof TuttiError && error.code === 'MEMORY_REFUSED') return 0;
          throw error;
        }
        return before - size;
      }),
    resize: (blocks) =>
      between(async () => {
        const order = [...states.values()].sort((a, b) => a.input.priority - b.input.priority || b.id - a.id);
        for (const s of order) {
          if (pool.used + pool.reserved <= blocks) break;
          if (!isResident(s)) continue;
          counts.evictions++;
          await packAway(s);
        }
        if (blocks > pool.blocks) await kv.resize(blocks);
        if (!(await resizePool(blocks))) {
          throw new TuttiError('LIMIT_EXCEEDED', `${pool.used} blocks are in use; there cannot be only ${blocks}`, {
            where: 'blocks',
            facts: { used: pool.used, blocks },
          });
        }
        if (blocks < kv.blocks) await kv.resize(blocks);
      }),
    between,
    freeIdle: () =>
      between(async () => {
        for (const s of idleOnes()) await packAway(s);
      }),
    async close(error) {
      failAll(error);
      await looping;
      await store.close();
    },
  };
}
