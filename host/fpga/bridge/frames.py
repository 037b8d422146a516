"""Frames of the protocol (docs/fpga.md): coding, and finding them again in bytes that may be damaged, cut or joined."""

import struct
import zlib

import protocol

HEADER = struct.Struct("<2sBBIIIII")
CHECK = struct.Struct("<I")
TYPES = frozenset(value for name, value in vars(protocol.Frame).items() if not name.startswith("_"))
LONGEST = protocol.HEADER_BYTES + 4 * protocol.MAX_PAYLOAD_WORDS + 4


class Frame:
    __slots__ = ("type", "session", "sequence", "acknowledge", "limit", "payload")

    def __init__(self, type, session, sequence, acknowledge, limit, payload):
        self.type = type
        self.session = session
        self.sequence = sequence
        self.acknowledge = acknowledge
        self.limit = limit
        self.payload = payload


def encode(type, session, sequence=0, acknowledge=0, limit=0, payload=b"", version=protocol.VERSION):
    """`payload`: bytes, a whole number of words."""
    head = HEADER.pack(protocol.SYNC, version, type, session, sequence, acknowledge, limit, len(payload) // 4)
    whole = head + CHECK.pack(zlib.crc32(head))
    return whole + payload + CHECK.pack(zlib.crc32(payload)) if payload else whole


class FrameReader:
    """Takes bytes in any portions; holds back at most one frame."""

    def __init__(self, on_frame, on_version):
        self.on_frame = on_frame
        self.on_version = on_version
        self.held = bytearray()
        self.dropped = 0
        self.damaged = 0

    def push(self, data):
        self.held += data
        at = 0
        while True:
            at = self._skip(at)
            step = self._take(at)
            if step == 0:
                break
            at += step
        del self.held[:at]

    def _skip(self, at):
        """The next place where a frame may begin."""
        found = self.held.find(protocol.SYNC, at)
        if found < 0:
            # The last byte may be the first half of one.
            found = len(self.held) - (1 if self.held[-1:] == protocol.SYNC[:1] else 0)
            found = max(found, at)
        self.dropped += found - at
        return found

    def _take(self, at):
        """How many bytes it took off; 0 when more are needed."""
        held = self.held
        if len(held) - at < protocol.HEADER_BYTES:
            return 0
        end = at + protocol.HEADER_BYTES
        if zlib.crc32(bytes(held[at : end - 4])) != CHECK.unpack_from(held, end - 4)[0]:
            self.damaged += 1
            return self._waste()
        _, version, type, session, sequence, acknowledge, limit, words = HEADER.unpack_from(held, at)
        if version != protocol.VERSION:
            self.on_version(version)
            return protocol.HEADER_BYTES
        if type not in TYPES or words > protocol.MAX_PAYLOAD_WORDS:
            return self._waste()
        payload = b""
        length = protocol.HEADER_BYTES
        if words > 0:
            length += 4 * words + 4
            if len(held) - at < length:
                return 0
            payload = bytes(held[end : end + 4 * words])
            if zlib.crc32(payload) != CHECK.unpack_from(held, end + 4 * words)[0]:
                # Bytes may be missing: the next frame is looked for in what was taken for this one's payload.
                self.damaged += 1
                return self._waste()
        self.on_frame(Frame(type, session, sequence, acknowledge, limit, payload))
        return length

    def _waste(self):
        self.dropped += 1
        return 1


def text_payload(text, *before):
    """Words, then UTF-8 padded with zeros, cut to what one payload holds."""
    data = b"".join(CHECK.pack(word) for word in before) + text.encode("utf-8")
    data = data[: 4 * protocol.MAX_PAYLOAD_WORDS]
    return data + b"\0" * (-len(data) % 4)
