/**
 * What the two sides of a remote device say to each other, and how errors cross with their class, code and facts. Both
 * sides rely on the port keeping the order of messages; nothing but `ask`ed messages is answered.
 */
import { DeviceLostError, MemoryRefusedError, TuttiError, type MemoryHolder, type TuttiErrorCode } from '../errors.js';
import type { Capabilities, DeviceKind, DeviceLost, Progress } from './device.js';

export interface RemoteCall {
  readonly kernel: string;
  readonly buffers: readonly number[];
  readonly scalars: readonly number[];
}

export type ClientMessage =
  /** Sent when the client starts and again when it hears `hello`: whichever side is up last, one of them arrives. */
  | { readonly kind: 'open'; readonly lock: string }
  | { readonly kind: 'allocate'; readonly buffer: number; readonly bytes: number; readonly label: string }
  | { readonly kind: 'release'; readonly buffer: number }
  | { readonly kind: 'write'; readonly buffer: number; readonly offset: number; readonly data: ArrayBuffer }
  | {
      readonly kind: 'read';
      readonly ask: number;
      readonly buffer: number;
      readonly offset: number;
      readonly bytes: number;
    }
  | { readonly kind: 'list'; readonly list: number; readonly calls: readonly RemoteCall[] }
  | { readonly kind: 'forget'; readonly list: number }
  | {
      readonly kind: 'run';
      readonly ask: number;
      readonly list: number;
      readonly steps: number;
      readonly firstStep: number;
      readonly progress: boolean;
    }
  | { readonly kind: 'warmup'; readonly ask: number; readonly kernels: readonly string[]; readonly progress: boolean }
  | { readonly kind: 'abort'; readonly ask: number }
  | { readonly kind: 'close' };

export type ServerMessage =
  | { readonly kind: 'hello' }
  | {
      readonly kind: 'ready';
      readonly id: string;
      readonly deviceKind: DeviceKind;
      readonly capabilities: Capabilities;
      /** Bytes that are free for this client. */
      readonly budget: number;
      readonly kernels: readonly string[];
      /** True when the worker holds the client's Web Lock for as long as it lives. */
      readonly locked: boolean;
    }
  | { readonly kind: 'unavailable'; readonly error: WireError }
  | { readonly kind: 'answer'; readonly ask: number; readonly value?: ArrayBuffer }
  | { readonly kind: 'failed'; readonly ask: number; readonly error: WireError }
  | { readonly kind: 'progress'; readonly ask: number; readonly progress: Progress }
  /** The device leased another size than was asked for (size classes). */
  | { readonly kind: 'leased'; readonly buffer: number; readonly bytes: number }
  | { readonly kind: 'lost'; readonly lost: DeviceLost }
  | { readonly kind: 'closed' };

/** An error as plain data. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly code?: TuttiErrorCode;
  readonly where?: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly holders?: readonly MemoryHolder[];
  readonly cause?: WireError;
}

/** Causes deeper than this are cut off; they may be circular. */
const DEEPEST_CAUSE = 4;

export function packError(error: unknown, depth = 0): WireError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const cause = error.cause === undefined || depth >= DEEPEST_CAUSE ? {} : { cause: packError(error.cause, depth + 1) };
  if (!(error instanceof TuttiError)) return { name: error.name, message: error.message, ...cause };
  return {
    name: error.name,
    message: error.message,
    code: error.code,
    ...(error.where === undefined ? {} : { where: error.where }),
    facts: cloneable(error.facts),
    ...(error instanceof MemoryRefusedError ? { holders: error.holders } : {}),
    ...cause,
  };
}

/** The error again, of the class that it had: DeviceLostError, MemoryRefusedError, TuttiError; anything else is DEVICE_FAILED. */
export function unpackError(error: WireError): TuttiError {
  const cause = error.cause === undefined ? undefined : unpackCause(error.cause);
  const { facts = {}, where } = error;
  if (error.code === 'DEVICE_LOST')
    return new DeviceLostError(where ?? 'device', String(facts['reason'] ?? error.message), cause);
  if (error.code === 'MEMORY_REFUSED' && error.holders) {
    const number = (key: string): number => Number(facts[key] ?? 0);
    return new MemoryRefusedError(
      where ?? 'device',
      String(facts['holder'] ?? ''),
      number('need'),
      number('budget'),
      number('inUse'),
      error.holders,
    );
  }
  return new TuttiError(
    error.code ?? 'DEVICE_FAILED',
    error.code ? error.message : `${error.name} in the device's worker: ${error.message}`,
    {
      facts,
      ...(cause === undefined ? {} : { cause }),
      ...(where === undefined ? {} : { where }),
    },
  );
}

function unpackCause(error: WireError): Error {
  if (error.code !== undefined) return unpackError(error);
  const plain = new Error(error.message, error.cause === undefined ? undefined : { cause: unpackCause(error.cause) });
  plain.name = error.name;
  return plain;
}

/** Facts are anything; what the structured clone algorithm refuses crosses as text. */
function cloneable(facts: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(facts).map(([key, value]) => {
      try {
        return [key, structuredClone(value)];
      } catch {
        return [key, String(value)];
      }
    }),
  );
}
