"""The far end's half of a session: two streams of words in which nothing is lost and nothing comes twice (docs/fpga.md)."""

import struct
from collections import deque

import frames
import protocol

FrameType = protocol.Frame
PAYLOAD_BYTES = 4 * protocol.MAX_PAYLOAD_WORDS


def ahead(a, b):
    """a - b of two numbers modulo 2^32 that are not far apart."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Timing:
    """Seconds."""

    def __init__(self, **milliseconds):
        for name in ("repeat", "longest_repeat", "heartbeat", "silence", "keep"):
            setattr(self, name, milliseconds.get(name, getattr(protocol.Timing, name.upper())) / 1000.0)


class Session:
    def __init__(self, number, timing, now):
        self.number = number
        self.timing = timing
        self.link = None
        self.heard = self.spoke = self.left = now
        self.last_control = 0
        self.last_reply = None
        # Outgoing payloads base .. ; those before next have been sent over this link.
        self.kept = deque()
        self.base = 0
        self.next = 0
        self.credit = protocol.WINDOW_FRAMES
        self.pause = timing.repeat
        self.repeat_at = None
        self.asked_again = None
        # Incoming payloads that the machine has not taken, and how much of the first it has.
        self.inbox = deque()
        self.taken = 0
        self.expected = 0
        self.consumed = 0
        self.told = protocol.WINDOW_FRAMES
        self.owed = False
        self.gap = False

    def attach(self, link, now):
        self.link = link
        self.heard = now
        self.next = self.base
        self.pause = self.timing.repeat
        self.repeat_at = None
        self.post(FrameType.ACKNOWLEDGE, 0, b"", now)
        self._pump(now)

    def detach(self, now):
        self.link = None
        self.left = now
        self.repeat_at = None

    def post(self, type, sequence, payload, now):
        if self.link is None:
            return
        limit = (self.consumed + protocol.WINDOW_FRAMES) & 0xFFFFFFFF
        self.told = limit
        if type in (FrameType.DATA, FrameType.ACKNOWLEDGE):
            self.owed = False
        self.spoke = now
        self.link.send(frames.encode(type, self.number, sequence, self.expected, limit, payload))

    def has_room(self):
        return len(self.kept) < protocol.WINDOW_FRAMES

    def send(self, data, now):
        """Queues words for the host; ask `has_room` first."""
        for at in range(0, len(data), PAYLOAD_BYTES):
            self.kept.append(bytes(data[at : at + PAYLOAD_BYTES]))
        self._pump(now)

    def waiting(self):
        """What the machine has to take next; empty when there is nothing."""
        return memoryview(self.inbox[0])[self.taken :] if self.inbox else b""

    def took(self, count):
        self.taken += count
        if self.taken < len(self.inbox[0]):
            return
        self.inbox.popleft()
        self.taken = 0
        self.consumed = (self.consumed + 1) & 0xFFFFFFFF
        if ahead(self.told, self.expected) < protocol.WINDOW_FRAMES // 2:
            self.owed = True

    def take(self, frame, now):
        self.heard = now
        self._acknowledged(frame.acknowledge)
        if ahead(frame.limit, self.credit) > 0 and ahead(frame.limit, self.base) <= 2 * protocol.WINDOW_FRAMES:
            self.credit = frame.limit
        if frame.type == FrameType.DATA:
            place = ahead(frame.sequence, self.expected)
            if place == 0 and frame.payload and ahead(frame.sequence, self.consumed) < protocol.WINDOW_FRAMES:
                self.expected = (self.expected + 1) & 0xFFFFFFFF
                self.inbox.append(frame.payload)
            elif place > 0:
                self.gap = True
            self.owed = True
        elif frame.type == FrameType.ACKNOWLEDGE and frame.sequence == 1:
            if self.asked_again != self.base and ahead(self.next, self.base) > 0:
                self.asked_again = self.base
                self.next = self.base
        self._pump(now)

    def tick(self, now):
        """Sends what is due."""
        if self.link is None:
            return
        if self.repeat_at is not None and now >= self.repeat_at:
            self.repeat_at = None
            self.pause = min(2 * self.pause, self.timing.longest_repeat)
            self.next = self.base
            self.asked_again = None
            self._pump(now)
        if self.owed or now - self.spoke >= self.timing.heartbeat:
            gap, self.gap = self.gap, False
            self.post(FrameType.ACKNOWLEDGE, 1 if gap else 0, b"", now)

    def _acknowledged(self, until):
        count = ahead(until, self.base)
        if count <= 0 or count > len(self.kept):
            return
        if count > ahead(self.next, self.base):
            self.next = until
        for _ in range(count):
            self.kept.popleft()
        self.base = until
        self.pause = self.timing.repeat
        self.asked_again = None
        self.repeat_at = None

    def _pump(self, now):
        if self.link is None:
            return
        end = (self.base + len(self.kept)) & 0xFFFFFFFF
        while ahead(end, self.next) > 0 and ahead(self.credit, self.next) > 0:
            self.post(FrameType.DATA, self.next, self.kept[ahead(self.next, self.base)], now)
            self.next = (self.next + 1) & 0xFFFFFFFF
        if ahead(self.next, self.base) > 0 and self.repeat_at is None:
            self.repeat_at = now + self.pause


def words(payload):
    return struct.unpack("<%dI" % (len(payload) // 4), payload)
