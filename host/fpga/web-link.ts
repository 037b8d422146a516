/** Byte links of a page: WebSocket (also in Node, by the optional package `ws` where it has none of its own) and WebSerial. */
import { abortedError, throwIfAborted, TuttiError } from '../errors.js';
import type { ByteLink, DialByteLink } from './machine-link.js';
import { mailbox } from './mailbox.js';
import { importOptional, inNode } from '../node-import.js';

/** Milliseconds in which a connection must stand. */
const CONNECT_MS = 5000;

/** Bytes that may wait in a socket before a sender has to. */
const CROWDED_BYTES = 1 << 20;

export function dialWebSocket(url: string): DialByteLink {
  return async (signal) => {
    throwIfAborted(signal, `connecting to ${url}`);
    const Socket = await webSocket(url);
    return new Promise((resolve, reject) => {
      const socket = new Socket(url);
      socket.binaryType = 'arraybuffer';
      const fail = (why: string): void => {
        settle();
        socket.close();
        const error = new TuttiError(
          'DEVICE_UNAVAILABLE',
          `${url} could not be reached: ${why}; is the bridge running there?`,
          { where: url },
        );
        reject(signal?.aborted ? abortedError(signal, `connecting to ${url}`) : error);
      };
      const onError = (): void => fail('the connection was refused or is no WebSocket');
      const onAbort = (): void => fail('aborted');
      const timer = setTimeout(() => fail(`no connection in ${CONNECT_MS} ms`), CONNECT_MS);
      const settle = (): void => {
        clearTimeout(timer);
        socket.onerror = (): void => {};
        signal?.removeEventListener('abort', onAbort);
      };
      socket.onerror = onError;
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.onopen = (): void => {
        settle();
        resolve(linkOfWebSocket(url, socket));
      };
    });
  };
}

async function webSocket(url: string): Promise<typeof WebSocket> {
  const own = (globalThis as { readonly WebSocket?: typeof WebSocket }).WebSocket;
  if (own || !inNode()) return own!;
  return (
    await importOptional<{ readonly WebSocket: typeof WebSocket }>('ws', `a link to ${url} on this version of Node`)
  ).WebSocket;
}

function linkOfWebSocket(name: string, socket: WebSocket): ByteLink {
  const { listen, put } = mailbox();
  let over = false;
  const ended = new Promise<string>((resolve) => {
    socket.onclose = ({ code, reason }): void => {
      over = true;
      resolve(`the connection was closed (${code}${reason ? `, ${reason}` : ''})`);
    };
  });
  socket.onmessage = ({ data }): void => {
    if (data instanceof ArrayBuffer) put(new Uint8Array(data));
  };
  return {
    name,
    ended,
    listen,
    async send(bytes) {
      if (over || socket.readyState !== socket.OPEN) return;
      socket.send(bytes);
      while (!over && socket.bufferedAmount > CROWDED_BYTES) await new Promise((resolve) => setTimeout(resolve, 2));
    },
    close: () => socket.close(),
  };
}

/** What is used of WebSerial's SerialPort. */
export interface WebSerialPort {
  open(options: { readonly baudRate: number; readonly bufferSize?: number }): Promise<void>;
  close(): Promise<void>;
  readonly readable: ReadableStream<Uint8Array> | null;
  readonly writable: WritableStream<Uint8Array> | null;
}

/** A serial port that the user has let the page have (`navigator.serial.requestPort()`). */
export function dialWebSerial(port: WebSerialPort, baudRate = 115_200): DialByteLink {
  return async (signal) => {
    throwIfAborted(signal, 'opening the serial port');
    try {
      await port.open({ baudRate, bufferSize: 1 << 16 });
    } catch (cause) {
      throw new TuttiError('DEVICE_UNAVAILABLE', `the serial port could not be opened: ${messageOf(cause)}`, { cause });
    }
    if (!port.readable || !port.writable)
      throw new TuttiError('DEVICE_UNAVAILABLE', 'the serial port has no streams; it was unplugged');
    const { listen, put } = mailbox();
    const reader = port.readable.getReader();
    const writer = port.writable.getWriter();
    let closing = false;
    const read = async (): Promise<string> => {
      try {
        for (;;) {
          const { value, done } = await reader.read();
          if (done) return closing ? 'it was closed' : 'the port ended';
          put(value);
        }
      } catch (error) {
        return messageOf(error);
      }
    };
    const ended = read().then(async (why) => {
      reader.releaseLock();
      await writer.close().catch(() => {});
      writer.releaseLock();
      await port.close().catch(() => {});
      return why;
    });
    return {
      name: 'webserial',
      ended,
      listen,
      send: (bytes) => writer.write(bytes).catch(() => {}),
      close() {
        closing = true;
        reader.cancel().catch(() => {});
      },
    };
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
