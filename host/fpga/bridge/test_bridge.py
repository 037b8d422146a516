"""Tests of the bridge that need no host: `python3 -m unittest test_bridge`. The rest is in host/fpga/bridge.test.ts."""

import random
import struct
import unittest

import frames
import protocol
from links import MessageReader, message
from machines import DmaStreams, Machine, MachineError
from session import Session, Timing

Register = protocol.Register


def read(*parts):
    got, versions = [], []
    reader = frames.FrameReader(got.append, versions.append)
    for part in parts:
        reader.push(part)
    return got, versions, reader


class Frames(unittest.TestCase):
    def test_any_portions(self):
        rng = random.Random(1)
        for _ in range(300):
            sent = [
                frames.encode(rng.choice(sorted(frames.TYPES)), 5, n, 6, 7, rng.randbytes(4 * rng.randrange(30)))
                for n in range(rng.randrange(1, 6))
            ]
            data = b"".join(sent)
            parts = []
            while data:
                size = rng.randrange(1, 60)
                parts.append(data[:size])
                data = data[size:]
            got, versions, reader = read(*parts)
            self.assertEqual([frames.encode(f.type, f.session, f.sequence, f.acknowledge, f.limit, f.payload) for f in got], sent)
            self.assertEqual((versions, reader.dropped, reader.damaged), ([], 0, 0))

    def test_other_version(self):
        got, versions, _ = read(frames.encode(1, 2, version=9) + frames.encode(9, 2))
        self.assertEqual((len(got), versions), (1, [9]))

    def test_too_long(self):
        long = frames.encode(4, 1, payload=bytes(4 * protocol.MAX_PAYLOAD_WORDS + 4))
        got, _, _ = read(long, frames.encode(9, 2))
        self.assertEqual([f.type for f in got], [9])

    def test_damage_never_makes_up_or_hides_a_frame(self):
        rng = random.Random(2)
        whole = 0
        for n in range(100000):
            sent = bytearray(frames.encode(4, 77, n, payload=rng.randbytes(4 * rng.randrange(6))))
            kind = rng.randrange(4)
            if kind == 0:
                sent = bytearray(rng.randbytes(len(sent)))
            elif kind == 1:
                sent[rng.randrange(len(sent))] ^= 1 << rng.randrange(8)
            elif kind == 2:
                del sent[rng.randrange(len(sent)) :]
            # A frame that was cut may swallow what follows until its length is full; what is repeated gets through.
            last = frames.encode(5, 77, n)
            got, _, _ = read(bytes(sent), last, last, last)
            if not got or any(f.sequence != n or f.session != 77 for f in got) or got[-1].type != 5:
                self.fail("round %d" % n)
            if got[0].type == 4:
                whole += 1
            elif kind == 3:
                self.fail("round %d: a good frame was lost" % n)
        self.assertGreater(whole, 20000)


class Recorder:
    """A link that keeps what it was given to send."""

    def __init__(self):
        self.sent = []
        self.ended = None

    def send(self, data):
        self.sent.append(data)

    def close(self, why="closed"):
        self.ended = why

    def frames(self):
        got, _, _ = read(*self.sent)
        self.sent = []
        return got


class Sessions(unittest.TestCase):
    def test_repeats_until_acknowledged_and_takes_once(self):
        timing = Timing(repeat=100)
        session, link = Session(3, timing, 0.0), Recorder()
        session.attach(link, 0.0)
        session.send(b"abcdefgh", 0.0)
        self.assertEqual([f.payload for f in link.frames() if f.type == 4], [b"abcdefgh"])
        session.tick(0.05)
        self.assertEqual([f for f in link.frames() if f.type == 4], [])
        session.tick(0.11)
        self.assertEqual([f.payload for f in link.frames() if f.type == 4], [b"abcdefgh"])
        session.take(frames.Frame(5, 3, 0, 1, 16, b""), 0.12)
        session.tick(9.0)
        self.assertEqual([f for f in link.frames() if f.type == 4], [])
        for _ in range(3):
            session.take(frames.Frame(4, 3, 0, 1, 16, b"wxyz"), 9.1)
        session.take(frames.Frame(4, 3, 2, 1, 16, b"late"), 9.1)
        self.assertEqual(bytes(session.waiting()), b"wxyz")
        session.tick(9.2)
        self.assertEqual([(f.sequence, f.acknowledge) for f in link.frames() if f.type == 5], [(1, 1)])
        session.took(4)
        self.assertEqual(bytes(session.waiting()), b"")

    def test_credit_and_memory_are_bounded(self):
        session, link = Session(3, Timing(), 0.0), Recorder()
        session.attach(link, 0.0)
        for n in range(100):
            session.take(frames.Frame(4, 3, n, 0, 16, b"word"), 0.0)
        self.assertEqual(len(session.inbox), protocol.WINDOW_FRAMES)
        for n in range(100):
            if session.has_room():
                session.send(b"word", 0.0)
        self.assertEqual(len(session.kept), protocol.WINDOW_FRAMES)
        # Nonsense from the other end changes nothing.
        session.take(frames.Frame(5, 3, 0, 4000, 0, b""), 0.0)
        session.take(frames.Frame(5, 3, 0, 0, 0x7FFFFFFF, b""), 0.0)
        self.assertEqual((len(session.kept), session.credit), (protocol.WINDOW_FRAMES, protocol.WINDOW_FRAMES))


class WebSockets(unittest.TestCase):
    def test_messages_in_any_portions(self):
        rng = random.Random(4)
        link = Recorder()
        got = bytearray()
        link.on_bytes = got.extend
        link.answer = lambda opcode, data: link.send(message(opcode, data))
        reader = MessageReader(link)
        sent = bytearray()
        stream = bytearray()
        for size in (0, 1, 125, 126, 127, 5000, 65535, 65536, 70000):
            data, mask = rng.randbytes(size), rng.randbytes(4)
            sent += data
            head = message(2, data)[: len(message(2, data)) - size]
            masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
            stream += bytes((head[0], head[1] | 128)) + head[2:] + mask + masked
        stream += bytes((0x89, 0x80)) + bytes(4)
        while stream:
            size = rng.randrange(1, 9000)
            reader.push(bytes(stream[:size]))
            del stream[:size]
        self.assertEqual(got, sent)
        self.assertEqual(link.sent, [bytes((0x8A, 0))])
        reader.push(b"\x82\x05hello")
        self.assertIsNotNone(link.ended)


class FakeDma:
    """The registers of an AXI DMA whose streams run through `work`: bytes in, packets out."""

    spec = "fake"
    BASE = 0x3F000000

    def __init__(self, memory, work):
        self.memory = memory
        self.work = work
        self.values = {}
        self.packets = []

    def read(self, address):
        return self.values.get(address, 0)

    def write(self, address, value):
        channel, register = (0x30, address - 0x30) if address >= 0x30 else (0x00, address)
        if register == 0x04:
            self.values[address] = self.read(address) & ~(value & 0x1000)
            return
        self.values[address] = value
        if register == 0x00:
            if value & 4:
                self.values = {0x04: 1, 0x34: 1}
                self.packets = []
            else:
                self.values[channel + 0x04] = self.read(channel + 0x04) & ~1 if value & 1 else 1
        if register == 0x28 and not self.read(channel + 0x04) & 1:
            if channel == 0x00:
                at = self.read(0x18) - self.BASE
                self.packets += self.work(bytes(self.memory[at : at + value]))
                self.values[0x04] |= 0x1000
            self._deliver()

    def _deliver(self):
        if not self.packets or self.read(0x34) & 0x1000 or self.read(0x58) == 0:
            return
        packet = self.packets.pop(0)
        if len(packet) > self.read(0x58):
            self.values[0x34] |= 0x10
            return
        at = self.read(0x48) - self.BASE
        self.memory[at : at + len(packet)] = packet
        self.values[0x58] = len(packet)
        self.values[0x34] |= 0x1000


class FakeRegisters:
    spec = "fake"

    def __init__(self, values):
        self.values = values

    def read(self, address):
        return self.values.get(address, 0)

    def write(self, address, value):
        if address != Register.CONTROL:
            self.values[address] = value


class Dma(unittest.TestCase):
    SIZE = 8192

    def make(self, work):
        memory = bytearray(self.SIZE)
        streams = DmaStreams(FakeDma(memory, work), memory, FakeDma.BASE, self.SIZE)
        machine = Machine(FakeRegisters({Register.IDENTIFICATION: protocol.IDENTIFICATION}), streams)
        machine.reset()
        return machine

    def test_carries_words_both_ways(self):
        machine = self.make(lambda data: [data[::-1], b"end."])
        rng = random.Random(3)
        for _ in range(50):
            data = memoryview(rng.randbytes(4 * rng.randrange(1, 3000)))
            while data:
                count = machine.write(data)
                self.assertTrue(0 < count <= self.SIZE // 2)
                self.assertEqual(machine.read(), bytes(data[:count])[::-1])
                self.assertEqual(machine.read(), b"end.")
                self.assertEqual(machine.read(), b"")
                data = data[count:]

    def test_reset_drops_what_is_on_its_way(self):
        machine = self.make(lambda data: [b"old!", b"old!"])
        machine.write(b"word")
        machine.reset()
        self.assertEqual(machine.read(), b"")

    def test_says_what_is_wrong(self):
        machine = self.make(lambda data: [bytes(self.SIZE)])
        machine.write(b"word")
        with self.assertRaisesRegex(MachineError, "longer than half of the buffer"):
            machine.read()
        with self.assertRaisesRegex(MachineError, "no synapse machine"):
            Machine(FakeRegisters({}), machine.streams).reset()


if __name__ == "__main__":
    unittest.main()
