/**
 * The one place that knows how to talk over a MessagePort, a Web Worker, a worker's own global scope, and the
 * worker_threads twins of the three. Node's ports emit values ('message', 'exit', 'close'), the browser's dispatch events.
 */

/** Whatever device messages can travel over: MessagePort, Worker, a worker's `self`, worker_threads' Worker, MessagePort and `parentPort`. */
export interface RemotePort {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  on?(event: string, listener: (value: unknown) => void): unknown;
  off?(event: string, listener: (value: unknown) => void): unknown;
  addEventListener?(type: string, listener: (event: Event) => void): void;
  removeEventListener?(type: string, listener: (event: Event) => void): void;
  start?(): void;
  close?(): void;
  terminate?(): unknown;
}

export interface Wire<In, Out> {
  post(message: Out, transfer?: readonly ArrayBuffer[]): void;
  /** Stops listening. The port itself stays open. */
  detach(): void;
  /** Ends the other side: terminates a Worker, closes a MessagePort. */
  end(): void;
  /** Type carrier only. */
  readonly in?: In;
}

/** Marks our messages, so that a port may also carry other people's. The number is the protocol's version. */
const TAG = 'tuttiDevice';
const VERSION = 1;

/**
 * Listens on `port` for device messages.
 * @param onDead called at most once, with a reason for people, when the other side can no longer answer
 */
export function openWire<In, Out>(
  port: RemotePort,
  onMessage: (message: In) => void,
  onDead: (why: string) => void,
): Wire<In, Out> {
  let attached = true;
  const dead = (why: string): void => {
    if (!attached) return;
    detach();
    onDead(why);
  };
  const receive = (value: unknown): void => {
    if (!attached || typeof value !== 'object' || value === null) return;
    const { [TAG]: version, message } = value as { readonly [TAG]?: unknown; readonly message?: unknown };
    if (version === undefined) return;
    if (version !== VERSION)
      dead(
        `the other side speaks version ${String(version)} of the device protocol, this side ${VERSION}; load the same tutti on both`,
      );
    else onMessage(message as In);
  };
  const undo = typeof port.on === 'function' ? listenInNode(port, receive, dead) : listenInBrowser(port, receive, dead);
  const detach = (): void => {
    if (!attached) return;
    attached = false;
    undo();
  };
  return {
    post: (message, transfer = []) => port.postMessage({ [TAG]: VERSION, message }, [...transfer]),
    detach,
    end() {
      detach();
      if (typeof port.terminate === 'function') void port.terminate();
      else port.close?.();
    },
  };
}

type Listeners = Readonly<Record<string, (value: unknown) => void>>;

function listenInNode(port: RemotePort, receive: (value: unknown) => void, dead: (why: string) => void): () => void {
  const listeners: Listeners = {
    message: receive,
    messageerror: () => dead('a message could not be read'),
    error: (error) => dead(`the worker failed: ${error instanceof Error ? error.message : String(error)}`),
    exit: (code) => dead(`the worker exited with code ${String(code)}`),
    close: () => dead('the port was closed'),
  };
  for (const [event, listener] of Object.entries(listeners)) port.on!(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) port.off?.(event, listener);
  };
}

function listenInBrowser(port: RemotePort, receive: (value: unknown) => void, dead: (why: string) => void): () => void {
  const listeners: Readonly<Record<string, (event: Event) => void>> = {
    message: (event) => receive((event as MessageEvent).data),
    messageerror: () => dead('a message could not be read'),
    error: (event) => dead(`the worker failed: ${(event as ErrorEvent).message || 'its script did not load'}`),
    close: () => dead('the port was closed'),
  };
  // On a worker's own scope 'error' and 'close' speak of other things than the port.
  const scope = port === (globalThis as unknown);
  const entries = Object.entries(listeners).filter(([type]) => !scope || type.startsWith('message'));
  for (const [type, listener] of entries) port.addEventListener?.(type, listener);
  port.start?.();
  return () => {
    for (const [type, listener] of entries) port.removeEventListener?.(type, listener);
  };
}
