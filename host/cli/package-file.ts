/** Files that come with the package, found from the source, from the command's bundle and from its chunks alike. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TuttiError } from '../errors.js';

/** Path of a file or folder of the package. @throws TuttiError FILE_INVALID when it is not there */
export function packageFile(name: string): string {
  for (const up of ['../..', '../../..']) {
    const path = fileURLToPath(new URL(`${up}/${name}`, import.meta.url));
    if (existsSync(path)) return path;
  }
  throw new TuttiError('FILE_INVALID', `${name} is not in this installation; install the package tutti anew`, {
    where: name,
  });
}
