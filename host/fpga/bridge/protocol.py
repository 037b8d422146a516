# Generated from host/fpga/{register-map,protocol}.ts and host/snn/machine/stream.ts by `npm run fpga:generate`; do not edit.

VERSION = 1
SYNC = bytes([84,85])
HEADER_BYTES = 28
MAX_PAYLOAD_WORDS = 4096
WINDOW_FRAMES = 16
IDENTIFICATION = 0x4d545554
REGISTER_SPACE = 0x1000

class Frame:
    HELLO = 1
    WELCOME = 2
    REFUSE = 3
    DATA = 4
    ACKNOWLEDGE = 5
    CONTROL = 6
    REPLY = 7
    FAULT = 8
    BYE = 9

class Refusal:
    BUSY = 1
    UNKNOWN_SESSION = 2
    MACHINE = 3
    VERSION = 4

class Control:
    READ = 1
    WRITE = 2

# Milliseconds.
class Timing:
    REPEAT = 150
    LONGEST_REPEAT = 1000
    HEARTBEAT = 500
    SILENCE = 3000
    KEEP = 30000

# Byte addresses.
class Register:
    IDENTIFICATION = 0
    RTL_VERSION = 4
    STREAM_VERSION = 8
    CONTROL = 12
    STATUS = 16
    ERRORS = 20
    SESSION = 24
    PROGRAM = 28
    WORDS_IN = 32
    WORDS_OUT = 36
    SAMPLES = 40
    CYCLES_LOW = 44
    CYCLES_HIGH = 48
    SPUS = 256
    PORTS = 260
    LANES = 264
    WEIGHT_BITS = 268
    WEIGHTS = 272
    OPERATIONS = 276
    ACCUMULATORS = 280
    AXONS = 284
    NEURONS = 288
    CLASSES = 292
    FIFO = 296
    DELAY_SLOTS = 300
    QUEUE = 304
    ACCUMULATOR_BITS = 308
    POTENTIAL_BITS = 312
