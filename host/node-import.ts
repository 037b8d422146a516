/** Node's own modules and optional packages, in a way that bundlers for browsers leave alone. */
import { TuttiError } from './errors.js';

/** Whether this is Node (or something that has its modules). */
export function inNode(): boolean {
  const { process } = globalThis as { readonly process?: { readonly versions?: { readonly node?: string } } };
  return process?.versions?.node !== undefined;
}

/** One of Node's modules, by its name without `node:`. @throws TuttiError DEVICE_UNAVAILABLE in a browser */
export async function importBuiltin<T>(name: string, what: string, instead: string): Promise<T> {
  if (!inNode()) throw new TuttiError('DEVICE_UNAVAILABLE', `${what} needs Node; in a page ${instead}`);
  const specifier = ['node', name].join(':');
  return (await import(/* @vite-ignore */ /* webpackIgnore: true */ specifier)) as T;
}

/** A package that a user installs who needs it. @throws TuttiError DEVICE_UNAVAILABLE saying what to install */
export async function importOptional<T>(name: string, what: string): Promise<T> {
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ [name].join(''))) as T;
  } catch (cause) {
    throw new TuttiError('DEVICE_UNAVAILABLE', `${what} needs the optional package "${name}"; npm install ${name}`, {
      cause,
    });
  }
}
