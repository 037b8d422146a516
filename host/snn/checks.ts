/**
 * Reading values of which nothing is known yet. Each function returns its value checked, or throws NETWORK_INVALID with
 * the path of what is wrong.
 */
import { TuttiError } from '../errors.js';
import type { Parameter, Shape } from './network.js';

/** What a network may be given in place of a typed object. */
export type Unknowns = Readonly<Record<string, unknown>>;

export function fail(path: string, what: string): never {
  throw new TuttiError('NETWORK_INVALID', `${path} ${what}`, { where: path });
}

/** A value as it may stand in a message: short, whatever it is. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `"${value.slice(0, 40)}..."` : JSON.stringify(value);
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (ArrayBuffer.isView(value)) return `a ${Object.prototype.toString.call(value).slice(8, -1)}`;
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

export function object(value: unknown, path: string): Unknowns {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    fail(path, `must be an object, got ${show(value)}`);
  }
  return value as Unknowns;
}

export function list(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) fail(path, `must be an array, got ${show(value)}`);
  return value as readonly unknown[];
}

export function text(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') fail(path, `must be a non-empty string, got ${show(value)}`);
  return value;
}

export function oneOf<const T extends string | number>(value: unknown, choices: readonly T[], path: string): T {
  if (!choices.includes(value as T)) {
    fail(path, `must be ${choices.map((c) => JSON.stringify(c)).join(' or ')}, got ${show(value)}`);
  }
  return value as T;
}

/** What a number must satisfy, and how to say so. */
export interface Rule {
  readonly says: string;
  readonly holds: (value: number) => boolean;
  readonly whole?: boolean;
}

const finite = (value: number): boolean => Number.isFinite(Math.fround(value));
/** These three hold for the number in single precision too, which is what kernels work in. */
export const anyFinite: Rule = { says: 'a finite number in single precision', holds: finite };
export const positive: Rule = { says: 'a finite number above 0', holds: (v) => Math.fround(v) > 0 && finite(v) };
export const notNegative: Rule = { says: 'a finite number of at least 0', holds: (v) => v >= 0 && finite(v) };

export function wholeWithin(least: number, most: number): Rule {
  return {
    says: `a whole number in ${least} .. ${most}`,
    holds: (v) => Number.isInteger(v) && v >= least && v <= most,
    whole: true,
  };
}

export const int32 = wholeWithin(-(2 ** 31), 2 ** 31 - 1);

export function number(value: unknown, rule: Rule, path: string, otherwise?: number): number {
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (typeof value !== 'number' || !rule.holds(value)) fail(path, `must be ${rule.says}, got ${show(value)}`);
  return value;
}

const arrayKinds = [Float32Array, Int32Array, Uint32Array, Int8Array] as const;
type NumberArray = readonly number[] | InstanceType<(typeof arrayKinds)[number]>;

/** Any kind of array of numbers that descriptions may hold; the elements are not checked. */
export function numbers(value: unknown, path: string): NumberArray {
  if (Array.isArray(value) || arrayKinds.some((kind) => value instanceof kind)) return value as NumberArray;
  return fail(
    path,
    `must be an array of numbers (plain, Float32Array, Int32Array, Uint32Array or Int8Array), got ${show(value)}`,
  );
}

/** Checks every element and returns the array as a `Type`, without copying when it already is one. */
export function typedArray<T extends Float32Array | Int32Array | Uint32Array | Int8Array>(
  value: unknown,
  Type: { new (length: number): T },
  rule: Rule,
  path: string,
): T {
  const given = numbers(value, path);
  const { holds } = rule;
  for (let i = 0; i < given.length; i++) {
    const element: unknown = given[i];
    if (typeof element !== 'number' || !holds(element)) {
      fail(
        `${path}[${i}]`,
        Number.isNaN(element) ? `is NaN; it must be ${rule.says}` : `must be ${rule.says}, got ${show(element)}`,
      );
    }
  }
  if (given instanceof Type) return given;
  const made = new Type(given.length);
  made.set(given);
  return made;
}

/** A parameter: a number, or one per neuron. Per-neuron values are kept as f32 (float) or i32 (whole). */
export function parameter(value: unknown, rule: Rule, size: number, path: string, otherwise?: Parameter): Parameter {
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (typeof value === 'number') return number(value, rule, path);
  if (typeof value !== 'object' || value === null)
    fail(path, `must be ${rule.says} or an array with one per neuron, got ${show(value)}`);
  const array = rule.whole ? typedArray(value, Int32Array, rule, path) : typedArray(value, Float32Array, rule, path);
  if (array.length !== size)
    fail(path, `holds ${array.length} values for ${size} neurons; give one number, or ${size}`);
  // Rounding to f32 can turn a tiny or huge number into 0 or Infinity.
  for (let i = 0; i < array.length; i++)
    if (!rule.holds(array[i]!)) fail(`${path}[${i}]`, `must be ${rule.says} in single precision`);
  return array;
}

export function shape(value: unknown, path: string, most: number): Shape {
  const sizes = list(value, path);
  if (sizes.length !== 3) fail(path, `must be [channels, height, width], got ${show(value)}`);
  const [c, h, w] = sizes.map((size, i) => number(size, wholeWithin(1, most), `${path}[${i}]`)) as [
    number,
    number,
    number,
  ];
  if (c * h * w > most) fail(path, `has ${c * h * w} neurons, the most is ${most}`);
  return [c, h, w];
}

export function pair(
  value: unknown,
  rule: Rule,
  path: string,
  otherwise?: readonly [number, number],
): readonly [number, number] {
  if (value === undefined && otherwise !== undefined) return otherwise;
  const given = list(value, path);
  if (given.length !== 2) fail(path, `must be [y, x], got ${show(value)}`);
  return [number(given[0], rule, `${path}[0]`), number(given[1], rule, `${path}[1]`)];
}

/** Refuses fields that nobody reads: a misspelt option would otherwise be ignored. */
export function onlyFields(value: Unknowns, known: readonly string[], path: string): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key) && value[key] !== undefined) {
      fail(`${path}.${key}`, `is not a field here; known fields: ${known.join(', ')}`);
    }
  }
}
