/** Byte links in Node: TCP and Unix sockets, a child process's standard streams, this process's own, serial ports. */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { abortedError, throwIfAborted, TuttiError } from '../errors.js';
import { importBuiltin, importOptional } from '../node-import.js';
import { IN_A_PAGE, type ByteLink, type DialByteLink } from './machine-link.js';
import { mailbox } from './mailbox.js';

/** Milliseconds in which a socket must connect. */
const CONNECT_MS = 5000;

/** Milliseconds that what was sent before `close` has to leave. */
const FLUSH_MS = 500;

/** A link over a pair of Node streams. `release` frees what they belong to. */
export function linkOfStreams(
  name: string,
  input: Readable,
  output: Writable,
  release: () => void | Promise<void>,
): ByteLink {
  const { listen, put } = mailbox();
  let over = false;
  let end: (why: string) => void;
  const ending = new Promise<string>((resolve) => {
    end = (why) => {
      over = true;
      resolve(why);
    };
  });
  const ended = ending.then(async (why) => {
    await release();
    return why;
  });
  input.on('data', put);
  input.on('end', () => end('the other end closed it'));
  for (const stream of new Set<Readable | Writable>([input, output])) {
    stream.on('error', (error: Error) => end(error.message));
    stream.on('close', () => end('it was closed'));
  }
  return {
    name,
    ended,
    async send(bytes) {
      if (over || output.destroyed || !output.writable) return;
      if (output.write(bytes)) return;
      await Promise.race([new Promise<void>((resolve) => output.once('drain', resolve)), ending]);
    },
    listen,
    close() {
      if (over) return;
      listen(() => {});
      const done = (): void => end('it was closed');
      const timer = setTimeout(done, FLUSH_MS);
      output.end(() => (clearTimeout(timer), done()));
    },
  };
}

export function linkOfSocket(name: string, socket: Socket): ByteLink {
  socket.setNoDelay(true);
  return linkOfStreams(name, socket, socket, () => void socket.destroy());
}

/** TCP or, with `path`, a Unix socket. */
export function dialSocket(
  name: string,
  to: { readonly host: string; readonly port: number } | { readonly path: string },
): DialByteLink {
  return async (signal) => {
    throwIfAborted(signal, `connecting to ${name}`);
    const { connect } = await importBuiltin<typeof import('node:net')>('net', `a link to ${name}`, IN_A_PAGE);
    return new Promise((resolve, reject) => {
      const socket = connect(to);
      const fail = (why: string): void => {
        settle();
        socket.destroy();
        reject(
          signal?.aborted
            ? abortedError(signal, `connecting to ${name}`)
            : new TuttiError(
                'DEVICE_UNAVAILABLE',
                `${name} could not be reached: ${why}; is the bridge running there?`,
                {
                  where: name,
                },
              ),
        );
      };
      const timer = setTimeout(() => fail(`no connection in ${CONNECT_MS} ms`), CONNECT_MS);
      const onError = (error: Error): void => fail(error.message || String((error as { code?: string }).code));
      const onAbort = (): void => fail('aborted');
      const settle = (): void => {
        clearTimeout(timer);
        socket.off('error', onError);
        signal?.removeEventListener('abort', onAbort);
        socket.on('error', () => {}); // reported through the link
      };
      socket.once('error', onError);
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.once('connect', () => {
        settle();
        resolve(linkOfSocket(name, socket));
      });
    });
  };
}

/** Starts a program, each time the link is dialled, and talks to it by its standard streams. */
export function dialProcess(name: string, command: readonly [string, ...string[]]): DialByteLink {
  return async (signal) => {
    throwIfAborted(signal, `starting ${name}`);
    const { spawn } = await importBuiltin<typeof import('node:child_process')>(
      'child_process',
      `a link to ${name}`,
      IN_A_PAGE,
    );
    const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    await started(child, name);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)));
    const link = linkOfStreams(name, child.stdout, child.stdin, () => endProcess(child));
    const exited = new Promise<string>((resolve) => {
      child.once('close', (code, by) => {
        const tail = said.trim() ? `: ${said.trim().split('\n').at(-1)}` : '';
        resolve(`the program ended (${by ?? `exit code ${code}`})${tail}`);
      });
    });
    // Its last words say more than that its streams ended.
    const ended = link.ended.then((why) => Promise.race([exited, new Promise<string>((r) => setTimeout(r, 200, why))]));
    return { ...link, ended };
  };
}

function started(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => {
      reject(new TuttiError('DEVICE_UNAVAILABLE', `${name} could not be started: ${error.message}`, { where: name }));
    });
  });
}

/** Asks, then insists. Resolves when it is gone. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill();
  const timer = setTimeout(() => child.kill('SIGKILL'), 1000);
  await gone;
  clearTimeout(timer);
}

interface SerialPortModule {
  readonly SerialPort: new (options: {
    readonly path: string;
    readonly baudRate: number;
    readonly autoOpen: false;
  }) => Duplex & {
    open(callback: (error: Error | null) => void): void;
    readonly isOpen: boolean;
    close(callback?: (error: Error | null) => void): void;
  };
}

/** A serial port, by the optional package `serialport`. */
export function dialSerial(path: string, baudRate: number): DialByteLink {
  const name = `serial:${path}`;
  return async (signal) => {
    throwIfAborted(signal, `opening ${name}`);
    const { SerialPort } = await importOptional<SerialPortModule>('serialport', `a link to ${name}`);
    const port = new SerialPort({ path, baudRate, autoOpen: false });
    await new Promise<void>((resolve, reject) => {
      port.open((error) => {
        if (!error) return resolve();
        const why = `${name} could not be opened: ${error.message}; is the board plugged in, and may this user use it?`;
        reject(new TuttiError('DEVICE_UNAVAILABLE', why, { where: name, cause: error }));
      });
    });
    return linkOfStreams(
      name,
      port,
      port,
      () => new Promise((resolve) => (port.isOpen ? port.close(() => resolve()) : resolve())),
    );
  };
}
