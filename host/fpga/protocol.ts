/**
 * The framed protocol, as plain data: what host/fpga/bridge/protocol.py and the tables of docs/fpga.md are made from. Both ends'
 * behaviour is described there; frame.ts has the coding, session.ts the state machine.
 */

/** Of the framing. Where `version` stands, the length of the header and its check never change, so that ends of different versions can tell. */
export const PROTOCOL_VERSION = 1;

/** First two bytes of every frame: "TU". */
export const SYNC = [0x54, 0x55] as const;

/** Byte addresses in a header, all numbers low byte first. */
export const HEADER_FIELDS = [
  { name: 'sync', at: 0, bytes: 2, what: '0x54 0x55' },
  { name: 'version', at: 2, bytes: 1, what: 'of the protocol' },
  { name: 'type', at: 3, bytes: 1, what: 'see below' },
  { name: 'session', at: 4, bytes: 4, what: 'random number of the session; frames of another one are dropped' },
  {
    name: 'sequence',
    at: 8,
    bytes: 4,
    what: 'data: number of the frame in its direction, from 0; control and reply: number of the request',
  },
  {
    name: 'acknowledge',
    at: 12,
    bytes: 4,
    what: 'number of the data frame that is expected next: all before it have arrived',
  },
  { name: 'limit', at: 16, bytes: 4, what: 'the other end may send data frames with numbers below this (credit)' },
  { name: 'words', at: 20, bytes: 4, what: 'length of the payload in 32-bit words' },
  { name: 'check', at: 24, bytes: 4, what: 'CRC-32 (IEEE 802.3) of the bytes before' },
] as const;

export const HEADER_BYTES = 28;

/** Longest payload in words. A payload that is not empty is followed by its CRC-32. */
export const MAX_PAYLOAD_WORDS = 4096;

/** Data frames that an end takes before its reader has taken any. */
export const WINDOW_FRAMES = 16;

export const FRAME = {
  hello: 1,
  welcome: 2,
  refuse: 3,
  data: 4,
  acknowledge: 5,
  control: 6,
  reply: 7,
  fault: 8,
  bye: 9,
} as const;

export type FrameType = keyof typeof FRAME;

/** What each frame is for, and its payload. */
export const FRAME_TEXT: Readonly<
  Record<FrameType, { readonly from: 'host' | 'far end' | 'both'; readonly what: string }>
> = {
  hello: {
    from: 'host',
    what: 'Opens a session, or resumes it over a new link. Payload: 1 to resume, else 0. Repeated until answered.',
  },
  welcome: { from: 'far end', what: 'The session is open. Payload: UTF-8 text, what this far end is.' },
  refuse: {
    from: 'far end',
    what: 'The session is not open. Payload: code (below), then UTF-8 text, padded with zeros.',
  },
  data: { from: 'both', what: 'Words for the machine, or from it.' },
  acknowledge: {
    from: 'both',
    what: 'Nothing but the header: what has arrived, and credit. Also the heartbeat. With sequence 1: a later data frame came than the one that is expected; send again from there.',
  },
  control: {
    from: 'host',
    what: 'Payload: operation (1: read register, 2: write register), address, value. One request at a time, repeated until answered; the far end answers a repetition with the same reply and does nothing.',
  },
  reply: { from: 'far end', what: 'Payload: 0 when all is well, then the value; or 1, then UTF-8 text.' },
  fault: {
    from: 'far end',
    what: 'The machine behind the far end cannot be reached any more; the session is over. Payload: UTF-8 text.',
  },
  bye: { from: 'host', what: 'Ends the session. Not answered.' },
};

export const REFUSAL = {
  /** Another host has a session, and has been heard of lately. */
  busy: 1,
  /** To resume a session that this far end does not have: it was restarted, or the session timed out. */
  unknownSession: 2,
  /** The machine could not be reset. */
  machine: 3,
  /** A frame of another version of the protocol. */
  version: 4,
} as const;

export const CONTROL = { read: 1, write: 2 } as const;

/** Milliseconds. */
export const TIMING = {
  /** Pause before what is not acknowledged or answered is sent again; doubles each time. */
  repeat: 150,
  longestRepeat: 1000,
  /** An end that has nothing to say sends an acknowledge frame this often. */
  heartbeat: 500,
  /** An end from which nothing whole has come for so long is taken to be gone: the host dials again, the far end lets another host in. */
  silence: 3000,
  /** How long a far end keeps a session without a link for the host to come back. */
  keep: 30_000,
} as const;
