import { afterEach, describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { encodeFrame } from './frame.js';
import { createLinkPair, dialServer, seeded, withFaults, type Faults } from './fixtures/link-pair.js';
import type { ByteLink, MachineLink, OpenMachineLink } from './machine-link.js';
import { mailbox } from './mailbox.js';
import { PROTOCOL_VERSION, REFUSAL, WINDOW_FRAMES } from './protocol.js';
import type { Timing } from './reliable-stream.js';
import { createMachineServer, type MachineServer } from './serve-machine.js';
import { openSession, type SessionOptions } from './session-client.js';

/** Fast enough for tests of what is lost. */
const timing: Timing = { repeat: 8, longestRepeat: 40, heartbeat: 30, silence: 150, keep: 600 };
const options: SessionOptions = { timing, openMs: 1000, resumeMs: 1500, registerMs: 800 };

/** A machine that gives back every word plus one, as fast as it is asked to. */
function echo(more: Partial<MachineLink> = {}): OpenMachineLink {
  return async () => {
    const kept: Uint32Array[] = [];
    let waiting: ((words: Uint32Array) => void) | undefined;
    let fail: (error: TuttiError) => void = () => {};
    let end: (error: TuttiError) => void;
    const registers = new Map<number, number>();
    return {
      name: 'echo',
      lost: new Promise((resolve) => (end = resolve)),
      registers: {
        read: async (address) => registers.get(address) ?? 0,
        write: async (address, value) => void registers.set(address, value),
      },
      async send(words) {
        const out = words.map((word) => word + 1);
        if (waiting) waiting(out);
        else kept.push(out);
        waiting = undefined;
      },
      receive: async () => kept.shift() ?? new Promise((resolve, reject) => ((waiting = resolve), (fail = reject))),
      async close() {
        const error = new TuttiError('DEVICE_CLOSED', 'closed');
        end(error);
        fail(error);
      },
      ...more,
    };
  };
}

const open: (MachineLink | MachineServer)[] = [];
const kept = <T extends MachineLink | MachineServer>(thing: T): T => {
  open.push(thing);
  return thing;
};
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

const serve = (machine: OpenMachineLink = echo()): MachineServer => kept(createMachineServer(machine, { timing }));

/** Sends `count` words in portions and expects them all back, in order. */
async function roundTrip(link: MachineLink, count: number, portion = 1000, from = 0): Promise<void> {
  const send = async (): Promise<void> => {
    for (let at = 0; at < count; at += portion) {
      await link.send(Uint32Array.from({ length: Math.min(portion, count - at) }, (_, i) => from + at + i));
    }
  };
  const receive = async (): Promise<void> => {
    for (let at = 0; at < count;) {
      for (const word of await link.receive()) {
        if (word !== from + at + 1) throw new Error(`word ${at} is ${word}, not ${from + at + 1}`);
        at++;
      }
    }
  };
  await Promise.all([send(), receive()]);
}

describe('a session', () => {
  it('carries words both ways, much more than its window', async () => {
    const server = serve();
    const link = kept(await openSession(dialServer(server.accept), options));
    await roundTrip(link, 400_000, 5000);
    await roundTrip(link, 300, 1);
  });

  it('stops a sender whose words are not taken, and goes on when they are', async () => {
    let take = (): void => {};
    const taken: number[] = [];
    const gate = new Promise<void>((resolve) => (take = resolve));
    const server = serve(
      echo({
        send: async (words) => {
          await gate;
          taken.push(...words);
        },
      }),
    );
    const link = kept(await openSession(dialServer(server.accept), options));
    let sent = 0;
    const sending = (async () => {
      for (let i = 0; i < 4 * WINDOW_FRAMES; i++) {
        await link.send(Uint32Array.of(i));
        sent++;
      }
    })();
    // Longer than a silence: that nothing moves is no loss.
    await new Promise((resolve) => setTimeout(resolve, 2 * timing.silence));
    expect(sent).toBeLessThanOrEqual(2 * WINDOW_FRAMES + 1);
    take();
    await sending;
    await expect.poll(() => taken.length).toBe(4 * WINDOW_FRAMES);
    expect(taken).toEqual(Array.from({ length: 4 * WINDOW_FRAMES }, (_, i) => i));
  });

  it('reads and writes registers, also while words wait', async () => {
    const server = serve(echo({ send: () => new Promise(() => {}) }));
    const link = kept(await openSession(dialServer(server.accept), options));
    void link.send(new Uint32Array(60_000)).catch(() => {});
    const registers = link.registers!;
    await Promise.all(Array.from({ length: 20 }, (_, i) => registers.write(4 * i, i * i)));
    expect(await Promise.all(Array.from({ length: 20 }, (_, i) => registers.read(4 * i)))).toEqual(
      Array.from({ length: 20 }, (_, i) => i * i),
    );
  });

  it('says what is wrong with a register, and when nothing is answered', async () => {
    const server = serve(
      echo({
        registers: {
          read: (address) => (address === 8 ? new Promise(() => {}) : Promise.reject(new Error('bus error'))),
          write: async () => {},
        },
      }),
    );
    const link = kept(await openSession(dialServer(server.accept), { ...options, registerMs: 60 }));
    await expect(link.registers!.read(4)).rejects.toMatchObject({
      code: 'DEVICE_FAILED',
      message: expect.stringContaining('0x4 failed: bus error'),
    });
    await expect(link.registers!.read(8)).rejects.toMatchObject({
      code: 'DEVICE_FAILED',
      message: expect.stringContaining('not answered'),
    });
    await link.registers!.write(12, 1);
  });

  it('carries a register access out once, however often it is asked for', async () => {
    const written: number[] = [];
    const registers = {
      read: async () => 0,
      write: async (_: number, value: number) => {
        await new Promise((resolve) => setTimeout(resolve, 3 * timing.repeat));
        written.push(value);
      },
    };
    const server = serve(echo({ registers }));
    const wrap = (near: ByteLink): ByteLink => withFaults(near, { double: 1 }, Math.random);
    const link = kept(await openSession(dialServer(server.accept, wrap), options));
    for (let value = 0; value < 5; value++) await link.registers!.write(0, value);
    expect(written).toEqual([0, 1, 2, 3, 4]);
  });

  it('goes on over a new link when the old one drops', async () => {
    const server = serve();
    const links: ByteLink[] = [];
    const link = kept(
      await openSession(
        dialServer(server.accept, (near) => {
          links.push(near);
          return near;
        }),
        options,
      ),
    );
    const trip = roundTrip(link, 200_000, 3000);
    for (let drops = 0; drops < 5; drops++) {
      await new Promise((resolve) => setTimeout(resolve, 15));
      links.at(-1)!.close();
    }
    await trip;
    expect(links.length).toBeGreaterThan(2);
    await roundTrip(link, 10, 10);
  });

  it('goes on when the link falls silent without ending', async () => {
    const server = serve();
    let dials = 0;
    const link = kept(
      await openSession(
        dialServer(server.accept, (near) => {
          let left = dials++ === 0 ? 40 : Infinity;
          return { ...near, send: async (bytes) => void (left-- > 0 && near.send(bytes)) };
        }),
        options,
      ),
    );
    await roundTrip(link, 300_000, 4000);
    expect(dials).toBe(2);
  });

  it('is lost when the far end was started again', async () => {
    let server = serve();
    let near: ByteLink | undefined;
    const link = kept(
      await openSession(
        dialServer(
          (far) => server.accept(far),
          (l) => (near = l),
        ),
        options,
      ),
    );
    await roundTrip(link, 10);
    await server.close();
    server = serve();
    near!.close();
    const receiving = link.receive();
    expect(await link.lost).toMatchObject({ code: 'DEVICE_LOST', message: expect.stringContaining('restarted') });
    await expect(receiving).rejects.toMatchObject({ code: 'DEVICE_LOST' });
    await expect(link.send(Uint32Array.of(1))).rejects.toMatchObject({ code: 'DEVICE_LOST' });
    await expect(link.registers!.read(0)).rejects.toMatchObject({ code: 'DEVICE_LOST' });
  });

  it('is lost, in bounded time, when the link cannot be made again', async () => {
    const server = serve();
    let near: ByteLink | undefined;
    const dial = dialServer(server.accept, (l) => (near = l));
    let refuse = false;
    const link = kept(
      await openSession(
        (signal) => (refuse ? Promise.reject(new TuttiError('DEVICE_UNAVAILABLE', 'no route')) : dial(signal)),
        { ...options, resumeMs: 150 },
      ),
    );
    refuse = true;
    near!.close();
    expect(await link.lost).toMatchObject({ code: 'DEVICE_LOST', message: expect.stringContaining('no route') });
  });

  it('is lost when the far end loses its machine, and says why', async () => {
    let lose: (error: TuttiError) => void = () => {};
    const server = serve(echo({ lost: new Promise((resolve) => (lose = resolve)) }));
    const link = kept(await openSession(dialServer(server.accept), options));
    lose(new TuttiError('DEVICE_LOST', 'somebody pulled the plug'));
    expect(await link.lost).toMatchObject({ code: 'DEVICE_LOST', message: expect.stringContaining('pulled the plug') });
  });

  it('gives each host a machine that was just opened, one at a time', async () => {
    let opened = 0;
    let closed = 0;
    const server = serve(async () => {
      const machine = await echo()();
      opened++;
      expect(opened - closed).toBe(1);
      return {
        ...machine,
        close: async () => {
          closed++;
          await machine.close();
        },
      };
    });
    const first = kept(await openSession(dialServer(server.accept), options));
    const busy = { code: 'DEVICE_UNAVAILABLE', facts: { refusal: REFUSAL.busy } };
    await expect(openSession(dialServer(server.accept), options)).rejects.toMatchObject(busy);
    await roundTrip(first, 5000);
    await first.close();
    expect(await first.lost).toMatchObject({ code: 'DEVICE_CLOSED' });
    const second = kept(await openSession(dialServer(server.accept), options));
    await roundTrip(second, 5000);
    expect([opened, closed]).toEqual([2, 1]);
  });

  it('lets another host in when the first has gone without a word', async () => {
    const server = serve();
    let hang = false;
    const first = await openSession(
      dialServer(server.accept, (near) => ({ ...near, send: async (bytes) => void (hang || near.send(bytes)) })),
      { ...options, resumeMs: 20 },
    );
    hang = true;
    const second = await (async () => {
      for (;;) {
        try {
          return kept(await openSession(dialServer(server.accept), options));
        } catch (error) {
          expect(error).toMatchObject({ facts: { refusal: REFUSAL.busy } });
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    })();
    await roundTrip(second, 100);
    await first.lost;
  });

  it('says so when the machine cannot be opened', async () => {
    const server = serve(() => Promise.reject(new Error('no bitstream')));
    await expect(openSession(dialServer(server.accept), options)).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('no bitstream'),
      facts: { refusal: REFUSAL.machine },
    });
  });

  it('says so when the far end speaks another version, or refuses ours', async () => {
    const other = (far: ByteLink): void =>
      far.listen(() => void far.send(encodeFrame({ type: 'welcome', session: 0 }, PROTOCOL_VERSION + 1)));
    await expect(openSession(dialServer(other), options)).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining(`version ${PROTOCOL_VERSION + 1}`),
    });
    const server = serve();
    const [near, far] = createLinkPair();
    server.accept(far);
    const answers = mailbox();
    near.listen(answers.put);
    void near.send(encodeFrame({ type: 'hello', session: 3 }, PROTOCOL_VERSION + 1));
    const answer = await new Promise<Uint8Array>((resolve) => answers.listen(resolve));
    expect(answer[2]).toBe(PROTOCOL_VERSION);
  });

  it('says so when nobody answers, or something that is no bridge does', async () => {
    const quick = { ...options, openMs: 80 };
    await expect(
      openSession(
        dialServer(() => {}),
        quick,
      ),
    ).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('no answer in 80 ms'),
    });
    const chatter = (far: ByteLink): void =>
      far.listen(() => void far.send(new TextEncoder().encode('HTTP/1.1 400 Bad Request\r\n\r\n')));
    await expect(openSession(dialServer(chatter), quick)).rejects.toMatchObject({
      message: expect.stringContaining('no frames'),
    });
    await expect(
      openSession(
        dialServer((far) => far.close()),
        quick,
      ),
    ).rejects.toMatchObject({
      message: expect.stringContaining('the link ended'),
    });
    const aborted = AbortSignal.abort();
    await expect(
      openSession(
        dialServer(() => {}),
        { ...quick, signal: aborted },
      ),
    ).rejects.toMatchObject({ code: 'ABORTED' });
    const soon = new AbortController();
    setTimeout(() => soon.abort(), 20);
    await expect(
      openSession(
        dialServer(() => {}),
        { ...options, signal: soon.signal },
      ),
    ).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('a session over a bad link', () => {
  const kinds: Readonly<Record<string, Faults>> = {
    'drops messages': { drop: 0.05 },
    'doubles them': { double: 0.3 },
    'flips bits': { flip: 0.05 },
    'cuts them': { cut: 0.05 },
    'is late': { delay: 0.3 },
    'ends now and then': { end: 0.01 },
    'falls silent now and then': { hang: 0.004 },
    'does all of that': { drop: 0.01, double: 0.05, flip: 0.01, cut: 0.01, delay: 0.1, end: 0.004, hang: 0.001 },
  };
  it.each(Object.entries(kinds))('that %s: every word once, in order', async (_, faults) => {
    for (const seed of [1, 2, 3]) {
      const random = seeded(seed);
      const server = serve();
      const wrap = (near: ByteLink): ByteLink => withFaults(near, faults, random);
      let link: MachineLink | undefined;
      while (!link) link = await openSession(dialServer(server.accept, wrap), options).catch(() => undefined);
      kept(link);
      await roundTrip(link, 60_000, 700);
      await link.registers!.write(16, seed);
      expect(await link.registers!.read(16)).toBe(seed);
    }
  });
});
