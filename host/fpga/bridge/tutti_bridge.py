#!/usr/bin/env python3
"""
Serves the synapse machine of this board to a host that runs tutti, over TCP, WebSocket, a Unix socket or standard streams.
Python 3.6 or newer, nothing else. See docs/fpga.md.

    ./tutti_bridge.py --registers /dev/uio0 --fifo /dev/axis_fifo_43c10000 --listen 0.0.0.0:7654
    ./tutti_bridge.py --registers /dev/mem@0x43c00000 --dma /dev/mem@0x40400000 --dma-buffer udmabuf0 --stdio
"""

import argparse
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from links import SocketLink, stdio_link  # noqa: E402
from machines import FifoStreams, Machine, MachineError, Registers, dma_streams  # noqa: E402
from server import Server  # noqa: E402
from session import Timing  # noqa: E402


def arguments(argv):
    parser = argparse.ArgumentParser(description="Serves this board's synapse machine to a host that runs tutti.")
    parser.add_argument("--registers", required=True, help="/dev/uio0 or /dev/mem@0x43c00000: the machine's AXI-Lite port")
    streams = parser.add_mutually_exclusive_group(required=True)
    streams.add_argument("--fifo", help="device file of the axis-fifo driver")
    streams.add_argument("--dma", help="registers of an AXI DMA, like --registers")
    parser.add_argument("--fifo-out", help="another device file to write to")
    parser.add_argument("--fifo-depth", type=int, default=512, help="words of the transmit FIFO (512)")
    parser.add_argument("--dma-buffer", default="udmabuf0", help="name of the u-dma-buf (udmabuf0)")
    parser.add_argument("--listen", metavar="HOST:PORT", help="TCP and WebSocket; 127.0.0.1:7654 unless another way is given")
    parser.add_argument("--unix", metavar="PATH", help="a Unix socket")
    parser.add_argument("--stdio", action="store_true", help="serve the program that started this one, then end")
    parser.add_argument("--origin", action="append", default=[], help="pages of this origin may connect; * for all")
    parser.add_argument("--timing", default="", help="repeat=150,silence=3000,...: milliseconds, as in docs/fpga.md")
    parser.add_argument("--quiet", action="store_true", help="say nothing on standard error")
    given = parser.parse_args(argv)
    if not (given.listen or given.unix or given.stdio):
        given.listen = "127.0.0.1:7654"
    try:
        pairs = [pair.split("=") for pair in given.timing.split(",") if pair]
        given.timing = Timing(**{name: float(value) for name, value in pairs})
    except ValueError:
        parser.error("--timing must be name=milliseconds,...")
    return given


def open_machine(given):
    registers = Registers(given.registers)
    if given.dma:
        return Machine(registers, dma_streams(given.dma, given.dma_buffer))
    return Machine(registers, FifoStreams(given.fifo, given.fifo_out, given.fifo_depth))


def main(argv):
    given = arguments(argv)

    def log(text):
        if not given.quiet:
            print("tutti bridge: %s" % text, file=sys.stderr, flush=True)

    def leave(number, frame):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    try:
        server = Server(open_machine(given), given.timing, log)
    except MachineError as error:
        print("tutti bridge: %s" % error, file=sys.stderr)
        return 1
    SocketLink.origins = frozenset(None if origin == "*" else origin for origin in given.origin)
    try:
        places = []
        if given.listen:
            host, _, port = given.listen.rpartition(":")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), int(port)))
            listener.listen(8)
            server.listen(listener)
            places.append("%s:%d" % (host, listener.getsockname()[1]))
        if given.unix:
            if os.path.exists(given.unix):
                os.unlink(given.unix)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(given.unix)
            listener.listen(8)
            server.listen(listener)
            places.append(given.unix)
        # Not before everybody can connect.
        for place in places:
            log("serving %s at %s" % (server.machine.name, place))
        link = stdio_link() if given.stdio else None
        if link:
            server.accept(link)
        while link is None or link.ended is None:
            server.turn()
    except (OSError, ValueError) as error:
        print("tutti bridge: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
