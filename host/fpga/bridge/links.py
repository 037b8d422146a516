"""Byte links of the bridge: sockets, standard streams, and WebSockets for browsers, none of which ever blocks."""

import base64
import hashlib
import os

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LONGEST_REQUEST = 16384
LONGEST_MESSAGE = 1 << 20
PORTION = 1 << 16


class Link:
    """Something to read from and write to, and what waits to be written. `fd`: becomes readable when something comes."""

    def __init__(self, name, read, write, fd, release):
        self.name = name
        self.ended = None
        self.fd = fd
        self._read = read
        self._write = write
        #: Frees what it stands on; for whoever has stopped waiting for `fd`.
        self.release = release
        self.outbox = bytearray()
        self.on_bytes = None

    def send(self, data):
        if self.ended is None:
            self.outbox += data
            self.flush()

    def flush(self):
        try:
            while self.outbox:
                count = self._write(bytes(self.outbox[:PORTION]))
                del self.outbox[:count]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.close(str(error))

    def receive(self):
        """Reads what there is."""
        try:
            data = self._read(PORTION)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(str(error))
            return
        if not data:
            self.close("the other end closed it")
        else:
            self.arrived(data)

    def arrived(self, data):
        self.on_bytes(data)

    def close(self, why="closed"):
        if self.ended is None:
            self.ended = why


def socket_link(name, connection):
    connection.setblocking(False)
    return SocketLink(name, connection.recv, connection.send, connection.fileno(), connection.close)


def stdio_link():
    for fd in (0, 1):
        os.set_blocking(fd, False)
    return Link("stdio", lambda size: os.read(0, size), lambda data: os.write(1, data), 0, lambda: None)


class SocketLink(Link):
    """Plain bytes, or a WebSocket when the first of them are an HTTP request."""

    #: Origins whose pages may connect; None in it allows every page.
    origins = frozenset()

    def __init__(self, *parts):
        super().__init__(*parts)
        self.first = bytearray()
        self.web = None

    def arrived(self, data):
        if self.web is not None:
            self.web.push(data)
        elif self.first is None:
            self.on_bytes(data)
        else:
            self.first += data
            if not (self.first.startswith(b"GET ") or b"GET ".startswith(bytes(self.first))):
                data, self.first = bytes(self.first), None
                self.on_bytes(data)
            elif b"\r\n\r\n" in self.first:
                self._upgrade()
            elif len(self.first) > LONGEST_REQUEST:
                self.close("the request has no end")

    def send(self, data):
        super().send(message(2, data) if self.web is not None else data)

    def _upgrade(self):
        request, _, rest = bytes(self.first).partition(b"\r\n\r\n")
        fields = {}
        for line in request.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            fields[key.strip().lower()] = value.strip()
        key = fields.get(b"sec-websocket-key")
        origin = fields.get(b"origin")
        if key is None or fields.get(b"upgrade", b"").lower() != b"websocket":
            return self._refuse(b"400 Bad Request", "a request that is no WebSocket's")
        if origin is not None and None not in self.origins and origin.decode("latin-1") not in self.origins:
            return self._refuse(b"403 Forbidden", "pages of %s may not connect (--origin)" % origin.decode("latin-1"))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        super().send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.first = None
        self.web = MessageReader(self)
        if rest:
            self.web.push(rest)

    def _refuse(self, status, why):
        super().send(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.close(why)

    def answer(self, opcode, data):
        super().send(message(opcode, data))


def message(opcode, data):
    """One WebSocket message from server to client."""
    size = len(data)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + bytes(data)


class MessageReader:
    """WebSocket messages from a client (RFC 6455). Where messages begin and end does not matter to the frames inside."""

    def __init__(self, link):
        self.link = link
        self.held = bytearray()

    def push(self, data):
        self.held += data
        while self.link.ended is None and self._take():
            pass

    def _take(self):
        held = self.held
        if len(held) < 2:
            return False
        opcode = held[0] & 15
        size = held[1] & 127
        at = 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(held) < at + width:
                return False
            size = int.from_bytes(held[at : at + width], "big")
            at += width
        if not held[1] & 128 or size > LONGEST_MESSAGE:
            self.link.close("a WebSocket message that no client may send")
            return False
        if len(held) < at + 4 + size:
            return False
        mask = bytes(held[at : at + 4])
        data = bytes(held[at + 4 : at + 4 + size])
        del held[: at + 4 + size]
        if size:
            # The mask, as long as the data, as one large number.
            long = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
            data = (int.from_bytes(data, "big") ^ long).to_bytes(size, "big")
        if opcode in (0, 1, 2) and data:
            self.link.on_bytes(data)
        elif opcode == 8:
            self.link.answer(8, data[:2])
            self.link.close("the page closed it")
        elif opcode == 9:
            self.link.answer(10, data)
        return True
