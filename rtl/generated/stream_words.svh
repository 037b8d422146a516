// Generated from host/fpga/{register-map,protocol}.ts and host/snn/machine/stream.ts by `npm run fpga:generate`; do not edit.
// Include inside a module or package.
/* verilator lint_off UNUSEDPARAM */
localparam logic [1:0] INPUT_SPIKE = 2'd0;
localparam logic [1:0] INPUT_STEP_END = 2'd1;
localparam logic [1:0] INPUT_BEGIN = 2'd2;
localparam logic [1:0] INPUT_LOAD = 2'd3;
localparam logic [1:0] OUTPUT_SPIKE = 2'd0;
localparam logic [1:0] OUTPUT_POTENTIAL = 2'd1;
localparam logic [1:0] OUTPUT_END = 2'd2;
localparam logic [5:0] MEMORY_CONTROL = 6'd0;
localparam logic [5:0] MEMORY_CLASSES = 6'd1;
localparam logic [5:0] MEMORY_NEURONS = 6'd2;
localparam logic [5:0] MEMORY_FAN_OUT = 6'd3;
localparam logic [5:0] MEMORY_AXON_DELAY = 6'd4;
localparam logic [5:0] MEMORY_ROUTING = 6'd5;
localparam logic [5:0] MEMORY_ROWS = 6'd8;
localparam logic [5:0] MEMORY_OPERATIONS = 6'd9;
localparam logic [5:0] MEMORY_WEIGHTS = 6'd10;
localparam logic [5:0] MEMORY_EMISSION = 6'd11;
localparam logic [13:0] STATUS_OVERFLOW = 14'd1;
localparam logic [13:0] STATUS_QUEUE_FULL = 14'd2;
localparam logic [13:0] STATUS_BAD_WORD = 14'd4;
localparam int BIT_LAST = 29;
localparam int BIT_PAIR = 28;
localparam int CONTROL_WORDS = 7;
localparam int CLASS_WORDS = 6;
localparam int END_WORDS = 4;
/* verilator lint_on UNUSEDPARAM */
