"""What a bridge has in front of it: the machine's registers in mapped memory, its streams in device files or by AXI DMA."""

import mmap
import os
import time

import protocol

Register = protocol.Register
RESET_SECONDS = 2.0
SETTLE_SECONDS = 0.002


class MachineError(Exception):
    pass


class Registers:
    """32-bit registers in a file that can be mapped: /dev/uio0, /dev/mem@0x43c00000, or any file of their size."""

    def __init__(self, spec, size=protocol.REGISTER_SPACE):
        self.spec = spec
        path, _, base = spec.partition("@")
        fd = None
        try:
            offset = int(base, 0) if base else 0
            fd = os.open(path, os.O_RDWR | os.O_SYNC)
            self._map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)
        except (OSError, ValueError) as error:
            raise MachineError("%s could not be mapped: %s" % (spec, error))
        finally:
            if fd is not None:
                os.close(fd)
        # One access of 32 bits each.
        self._words = memoryview(self._map).cast("I")

    def read(self, address):
        return self._words[self._index(address)]

    def write(self, address, value):
        self._words[self._index(address)] = value

    def _index(self, address):
        if address % 4 or not 0 <= address < 4 * len(self._words):
            raise MachineError("there is no register 0x%x" % address)
        return address // 4

    def close(self):
        self._words.release()
        self._map.close()


class Machine:
    """Registers and streams together. Words are bytes, low byte first."""

    def __init__(self, registers, streams):
        self.registers = registers
        self.streams = streams
        self.name = "%s, registers at %s" % (streams.name, registers.spec)
        self.write = streams.write
        self.read = streams.read

    def reset(self):
        """Resets until no word of earlier work comes any more, neither in nor out. Raises MachineError."""
        registers = self.registers
        magic = registers.read(Register.IDENTIFICATION)
        if magic != protocol.IDENTIFICATION:
            raise MachineError("no synapse machine at %s: its first register holds 0x%08x" % (registers.spec, magic))
        until = time.monotonic() + RESET_SECONDS
        while time.monotonic() < until:
            registers.write(Register.CONTROL, 1)
            while registers.read(Register.CONTROL) & 1:
                if time.monotonic() > until:
                    raise MachineError("the machine does not come out of reset")
            self.streams.reset()
            time.sleep(SETTLE_SECONDS)
            # What still lay in the FIFO in front of it goes into it now.
            if registers.read(Register.WORDS_IN) == 0 and not self.streams.read():
                return
        raise MachineError("words of earlier work keep coming for %g s" % RESET_SECONDS)

    def close(self):
        self.streams.close()
        self.registers.close()


class FifoStreams:
    """Device files of the axis-fifo driver: a write is a packet, a read gives a packet."""

    def __init__(self, path, out=None, depth=512, longest=1 << 17):
        self.name = path
        self.packet = 4 * depth
        self.longest = 4 * longest
        self.rest = b""
        try:
            self.fd_in = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self.fd_out = os.open(out or path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            raise MachineError("%s could not be opened: %s" % (out or path, error))

    def reset(self):
        self.rest = b""
        while self.read():
            pass

    def write(self, data):
        """How many bytes it took."""
        try:
            return os.write(self.fd_out, data[: self.packet])
        except (BlockingIOError, InterruptedError, TimeoutError):
            return 0
        except OSError as error:
            raise MachineError("writing %s failed: %s" % (self.name, error))

    def read(self):
        """Whole words, none when there are none."""
        try:
            data = self.rest + os.read(self.fd_in, self.longest)
        except (BlockingIOError, InterruptedError, TimeoutError):
            return b""
        except OSError as error:
            raise MachineError("reading %s failed: %s" % (self.name, error))
        whole = len(data) - len(data) % 4
        self.rest = data[whole:]
        return data[:whole]

    def close(self):
        os.close(self.fd_in)
        os.close(self.fd_out)


class DmaStreams:
    """
    AXI DMA in direct register mode (PG021), with a buffer that the u-dma-buf driver provides: its first half goes to the machine, its
    second half takes one packet (one sample's output) at a time.
    """

    MM2S, S2MM = 0x00, 0x30
    CONTROL, STATUS, ADDRESS, ADDRESS_HIGH, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
    RUN, RESET = 1, 4
    HALTED, ERRORS, DONE = 1, 0x70, 0x1000

    def __init__(self, registers, memory, address, size):
        """`memory`: the mapped buffer of `size` bytes, which the DMA sees at `address`."""
        self.name = "AXI DMA at %s" % registers.spec
        self.registers = registers
        self.memory = memory
        self.address = address
        self.half = size // 2 & ~63
        self.sending = False

    def _put(self, channel, register, value):
        self.registers.write(channel + register, value)

    def _get(self, channel, register):
        return self.registers.read(channel + register)

    def reset(self):
        self.sending = False
        # Resetting one channel resets both.
        self._put(self.MM2S, self.CONTROL, self.RESET)
        until = time.monotonic() + 0.1
        while self._get(self.MM2S, self.CONTROL) & self.RESET:
            if time.monotonic() > until:
                raise MachineError("%s does not come out of reset" % self.name)
        for channel in (self.MM2S, self.S2MM):
            self._put(channel, self.CONTROL, self.RUN)
            while self._get(channel, self.STATUS) & self.HALTED:
                if time.monotonic() > until:
                    raise MachineError("%s does not start" % self.name)
        self._receive()

    def _start(self, channel, address, length):
        self._put(channel, self.STATUS, self.DONE)
        self._put(channel, self.ADDRESS, address & 0xFFFFFFFF)
        self._put(channel, self.ADDRESS_HIGH, address >> 32)
        self._put(channel, self.LENGTH, length)

    def _receive(self):
        self._start(self.S2MM, self.address + self.half, self.half)

    def _done(self, channel):
        status = self._get(channel, self.STATUS)
        if status & self.ERRORS:
            raise MachineError(
                "%s reports an error (status 0x%x); is a sample's output longer than half of the buffer, %d bytes?"
                % (self.name, status, self.half)
            )
        return bool(status & self.DONE)

    def write(self, data):
        if self.sending and not self._done(self.MM2S):
            return 0
        count = min(len(data), self.half) & ~3
        self.memory[:count] = bytes(data[:count])
        self._start(self.MM2S, self.address, count)
        self.sending = True
        return count

    def read(self):
        if not self._done(self.S2MM):
            return b""
        count = self._get(self.S2MM, self.LENGTH)
        data = bytes(self.memory[self.half : self.half + count])
        self._receive()
        return data

    def close(self):
        self._put(self.MM2S, self.CONTROL, self.RESET)
        self.registers.close()


def dma_streams(spec, buffer):
    """`spec`: as of `Registers`; `buffer`: name of a u-dma-buf, "udmabuf0"."""
    about = "/sys/class/u-dma-buf/%s/" % buffer
    try:
        with open(about + "phys_addr") as file:
            address = int(file.read(), 16)
        with open(about + "size") as file:
            size = int(file.read())
        # O_SYNC: not cached, so that nothing has to be flushed.
        fd = os.open("/dev/" + buffer, os.O_RDWR | os.O_SYNC)
        try:
            memory = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        raise MachineError("the buffer %s cannot be used: %s; is u-dma-buf loaded?" % (buffer, error))
    return DmaStreams(Registers(spec), memory, address, size)
