"""One machine, one host at a time: sessions over links, as docs/fpga.md describes them."""

import selectors
import time
from collections import deque

import frames
import protocol
from links import socket_link
from machines import MachineError
from session import Session, Timing, words

FrameType = protocol.Frame
REMEMBERED = 64
#: Seconds between looks at the machine, which nothing announces: while something happens, and else.
EAGER, LAZY = 0.0005, 0.02
EAGER_FOR = 0.25


class Server:
    def __init__(self, machine, timing=None, log=lambda text: None):
        self.machine = machine
        self.timing = timing or Timing()
        self.log = log
        self.session = None
        self.over = deque(maxlen=REMEMBERED)
        self.links = []
        self.listeners = []
        self.selector = selectors.DefaultSelector()
        self.moved = 0.0

    # Links.

    def listen(self, listener):
        listener.setblocking(False)
        self.listeners.append(listener)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._connect(listener))

    def _connect(self, listener):
        try:
            connection, address = listener.accept()
        except OSError:
            return
        self.accept(socket_link(str(address), connection))

    def accept(self, link):
        reader = frames.FrameReader(
            lambda frame: self._frame(frame, link),
            lambda version: self._refuse(
                link, 0, protocol.Refusal.VERSION, "a frame of version %d of the protocol came; this is another one" % version
            ),
        )
        link.on_bytes = reader.push
        self.links.append(link)
        self.selector.register(link.fd, selectors.EVENT_READ, link.receive)
        self.log("%s connected" % link.name)

    def _sweep(self, now):
        for link in [link for link in self.links if link.ended is not None]:
            self.links.remove(link)
            self.selector.unregister(link.fd)
            link.release()
            self.log("%s ended: %s" % (link.name, link.ended))
            if self.session is not None and self.session.link is link:
                self.session.detach(now)

    # Sessions.

    def _refuse(self, link, number, code, text):
        link.send(frames.encode(FrameType.REFUSE, number, payload=frames.text_payload(text, code)))

    def _frame(self, frame, link):
        now = time.monotonic()
        if frame.type == FrameType.HELLO:
            return self._hello(frame, link, now)
        session = self.session
        if session is None or frame.session != session.number or session.link is not link:
            return
        if frame.type == FrameType.BYE:
            return self._finish("the host left")
        self.moved = now
        session.take(frame, now)
        if frame.type == FrameType.CONTROL:
            self._control(session, frame, now)

    def _hello(self, frame, link, now):
        session = self.session
        if session is not None and session.number == frame.session:
            return self._welcome(session, link, now)
        resume = frame.payload[:1] == b"\1"
        if resume or frame.session in self.over:
            text = "the session is over: the far end was restarted, or waited too long"
            return self._refuse(link, frame.session, protocol.Refusal.UNKNOWN_SESSION, text)
        if session is not None:
            if session.link is not None and now - session.heard < self.timing.silence:
                return self._refuse(link, frame.session, protocol.Refusal.BUSY, "another host is using this machine")
            self._finish("another host took over")
        try:
            self.machine.reset()
        except MachineError as error:
            text = "the machine could not be opened: %s" % error
            self.log(text)
            return self._refuse(link, frame.session, protocol.Refusal.MACHINE, text)
        now = time.monotonic()
        self.session = Session(frame.session, self.timing, now)
        self.log("session %08x" % frame.session)
        self._welcome(self.session, link, now)

    def _welcome(self, session, link, now):
        if session.link is not link:
            before = session.link
            session.attach(link, now)
            if before is not None:
                before.close("the host came over another link")
        session.post(FrameType.WELCOME, 0, frames.text_payload(self.machine.name), now)
        self.moved = now

    def _finish(self, why):
        self.log("session %08x is over: %s" % (self.session.number, why))
        self.over.append(self.session.number)
        self.session = None

    def _fault(self, error):
        self.session.post(FrameType.FAULT, 0, frames.text_payload(str(error)), time.monotonic())
        self._finish(str(error))

    def _control(self, session, frame, now):
        if frame.sequence != session.last_control:
            session.last_control = frame.sequence
            session.last_reply = self._access(frame.payload)
        session.post(FrameType.REPLY, frame.sequence, session.last_reply, now)

    def _access(self, payload):
        operation, address, value = (words(payload) + (0, 0, 0))[:3]
        try:
            if operation == protocol.Control.READ:
                value = self.machine.registers.read(address)
            elif operation == protocol.Control.WRITE:
                self.machine.registers.write(address, value)
            else:
                raise MachineError("there is no register operation %d" % operation)
        except MachineError as error:
            return frames.text_payload(str(error), 1)
        return b"\0\0\0\0" + value.to_bytes(4, "little")

    # Work.

    def _carry(self, session, now):
        """Words between session and machine, as many as either takes now."""
        try:
            while session.inbox:
                count = self.machine.write(session.waiting())
                if count == 0:
                    break
                session.took(count)
                self.moved = now
            while session.has_room():
                data = self.machine.read()
                if not data:
                    break
                session.send(data, now)
                self.moved = now
        except MachineError as error:
            self._fault(error)

    def turn(self, longest=1.0):
        """Does what there is to do, waiting for at most `longest` seconds."""
        now = time.monotonic()
        wait = longest
        if self.session is not None:
            wait = min(wait, EAGER if now - self.moved < EAGER_FOR else LAZY)
        if any(link.outbox for link in self.links):
            wait = min(wait, EAGER)
        for key, _ in self.selector.select(wait):
            key.data()
        for link in self.links:
            if link.outbox:
                link.flush()
        now = time.monotonic()
        self._sweep(now)
        session = self.session
        if session is None:
            return
        self._carry(session, now)
        if self.session is not session:
            return
        session.tick(now)
        if session.link is None:
            if now - session.left > self.timing.keep:
                self._finish("the host did not come back")
        elif now - session.heard > self.timing.silence:
            session.link.close("nothing was heard for %g s" % self.timing.silence)

    def close(self):
        for link in self.links:
            link.release()
        for listener in self.listeners:
            listener.close()
        self.machine.close()
