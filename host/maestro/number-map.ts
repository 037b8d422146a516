/**
 * A map of whole numbers that is changed all the time. Unlike Map, it never leaves tables behind that keep what was deleted from them alive until the next full
 * collection, which for a scheduler's short-lived records is most of what collecting costs.
 */
export interface NumberMap<T> {
  readonly size: number;
  get(key: number): T | undefined;
  set(key: number, value: T): void;
  delete(key: number): boolean;
  clear(): void;
}

const EMPTY = -1;

/** Keys are whole numbers in 0 .. 2^31 - 1. */
export function createNumberMap<T>(): NumberMap<T> {
  let mask = 15;
  let keys = new Int32Array(16).fill(EMPTY);
  let values: (T | undefined)[] = new Array<T | undefined>(16).fill(undefined);
  let size = 0;

  const placeOf = (key: number): number => (Math.imul(key, 0x9e3779b1) >>> 7) & mask;

  function find(key: number): number {
    let at = placeOf(key);
    while (keys[at] !== key) {
      if (keys[at] === EMPTY) return -1 - at;
      at = (at + 1) & mask;
    }
    return at;
  }

  function grow(): void {
    const [oldKeys, oldValues] = [keys, values];
    mask = 2 * mask + 1;
    keys = new Int32Array(mask + 1).fill(EMPTY);
    values = new Array<T | undefined>(mask + 1).fill(undefined);
    for (let k = 0; k < oldKeys.length; k++) {
      if (oldKeys[k] === EMPTY) continue;
      const at = -1 - find(oldKeys[k]!);
      keys[at] = oldKeys[k]!;
      values[at] = oldValues[k];
    }
    oldValues.length = 0;
  }

  return {
    get size() {
      return size;
    },
    get(key) {
      const at = find(key);
      return at < 0 ? undefined : values[at];
    },
    set(key, value) {
      let at = find(key);
      if (at < 0) {
        if (4 * (size + 1) > 3 * (mask + 1)) {
          grow();
          at = find(key);
        }
        at = -1 - at;
        keys[at] = key;
        size++;
      }
      values[at] = value;
    },
    delete(key) {
      let hole = find(key);
      if (hole < 0) return false;
      size--;
      // Those behind it move up, so that no marks of deleted entries are needed.
      for (let at = (hole + 1) & mask; keys[at] !== EMPTY; at = (at + 1) & mask) {
        const home = placeOf(keys[at]!);
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        keys[hole] = keys[at]!;
        values[hole] = values[at];
        hole = at;
      }
      keys[hole] = EMPTY;
      values[hole] = undefined;
      return true;
    },
    clear() {
      keys.fill(EMPTY);
      values.fill(undefined);
      size = 0;
    },
  };
}
