// Generated from host/fpga/{register-map,protocol}.ts and host/snn/machine/stream.ts by `npm run fpga:generate`; do not edit.
// Include inside a module or package.
/* verilator lint_off UNUSEDPARAM */
localparam logic [15:0] REG_IDENTIFICATION = 16'h0000; // read: magic number, "TUTM"
localparam logic [31:0] VALUE_IDENTIFICATION = 32'h4d545554;
localparam logic [15:0] REG_RTL_VERSION = 16'h0004; // read: major << 16, minor
localparam logic [31:0] VALUE_RTL_VERSION = 32'h00010000;
localparam logic [15:0] REG_STREAM_VERSION = 16'h0008; // read: version of the input and output words
localparam logic [31:0] VALUE_STREAM_VERSION = 32'h00000001;
localparam logic [15:0] REG_CONTROL = 16'h000c; // act: bit 0 resets everything but the memories, as rst_n does: words on their way are gone, all registers are as after power-up
localparam int BIT_CONTROL_SOFT_RESET = 0;
localparam logic [15:0] REG_STATUS = 16'h0010; // read: running: between `begin` and the last word of `end`; loading: inside a `load`; outputWaiting: an output word is offered and not taken
localparam int BIT_STATUS_RUNNING = 0;
localparam int BIT_STATUS_LOADING = 1;
localparam int BIT_STATUS_OUTPUT_WAITING = 2;
localparam logic [15:0] REG_ERRORS = 16'h0014; // clear: the status bits of all `end` words since they were cleared
localparam int BIT_ERRORS_OVERFLOW = 0;
localparam int BIT_ERRORS_QUEUE_FULL = 1;
localparam int BIT_ERRORS_BAD_WORD = 2;
localparam logic [15:0] REG_SESSION = 16'h0018; // read-write: the host writes a number other than 0 after it has reset the machine; reading 0 or another number later tells it that somebody reset the machine since
localparam logic [15:0] REG_PROGRAM = 16'h001c; // read-write: the host writes the checksum of a program when it is loaded
localparam logic [15:0] REG_WORDS_IN = 16'h0020; // read: input words taken, modulo 2^32
localparam logic [15:0] REG_WORDS_OUT = 16'h0024; // read: output words given, modulo 2^32
localparam logic [15:0] REG_SAMPLES = 16'h0028; // read: samples ended, modulo 2^32
localparam logic [15:0] REG_CYCLES_LOW = 16'h002c; // read: clock cycles since reset, bits 0 .. 31; reading it latches the high half
localparam logic [15:0] REG_CYCLES_HIGH = 16'h0030; // read: bits 32 .. 63 as of the last read of cyclesLow
localparam logic [15:0] REG_SPUS = 16'h0100; // read: capability: `spus` of the machine's configuration
localparam logic [15:0] REG_PORTS = 16'h0104; // read: capability: `ports` of the machine's configuration
localparam logic [15:0] REG_LANES = 16'h0108; // read: capability: `lanes` of the machine's configuration
localparam logic [15:0] REG_WEIGHT_BITS = 16'h010c; // read: capability: `weightBits` of the machine's configuration
localparam logic [15:0] REG_WEIGHTS = 16'h0110; // read: capability: `weights` of the machine's configuration
localparam logic [15:0] REG_OPERATIONS = 16'h0114; // read: capability: `operations` of the machine's configuration
localparam logic [15:0] REG_ACCUMULATORS = 16'h0118; // read: capability: `accumulators` of the machine's configuration
localparam logic [15:0] REG_AXONS = 16'h011c; // read: capability: `axons` of the machine's configuration
localparam logic [15:0] REG_NEURONS = 16'h0120; // read: capability: `neurons` of the machine's configuration
localparam logic [15:0] REG_CLASSES = 16'h0124; // read: capability: `classes` of the machine's configuration
localparam logic [15:0] REG_FIFO = 16'h0128; // read: capability: `fifo` of the machine's configuration
localparam logic [15:0] REG_DELAY_SLOTS = 16'h012c; // read: capability: `delaySlots` of the machine's configuration
localparam logic [15:0] REG_QUEUE = 16'h0130; // read: capability: `queue` of the machine's configuration
localparam logic [15:0] REG_ACCUMULATOR_BITS = 16'h0134; // read: capability: `accumulatorBits` of the machine's configuration
localparam logic [15:0] REG_POTENTIAL_BITS = 16'h0138; // read: capability: `potentialBits` of the machine's configuration
localparam logic [15:0] REG_CAPABILITIES = 16'h0100; // the first of 15
localparam int CAPABILITY_COUNT = 15;
/* verilator lint_on UNUSEDPARAM */
