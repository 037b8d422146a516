// The partial sums of one SPU: two banks, one that synapses accumulate into while the other is merged; in each, `LANES` columns, so
// that a group's sums are read in one cycle. Two columns share a memory, which they fill to the width of a block RAM.
module accumulators #(
    parameter int LANES = 4,
    parameter int ROWS = 128,
    parameter int WIDTH = 18,
    localparam int ROW = ROWS > 1 ? $clog2(ROWS) : 1,
    localparam int LANE = LANES > 1 ? $clog2(LANES) : 1
) (
    input  logic                   clk,
    // The bank that is accumulated into.
    input  logic                   bank,
    input  logic                   read,
    input  logic [        ROW-1:0] read_row,
    input  logic [       LANE-1:0] read_lane,
    // In the next cycle, of `read_lane`.
    output logic [      WIDTH-1:0] read_data,
    input  logic                   write,
    input  logic [        ROW-1:0] write_row,
    input  logic [       LANE-1:0] write_lane,
    input  logic [      WIDTH-1:0] write_data,
    // The other bank.
    input  logic                   merge_read,
    input  logic [        ROW-1:0] merge_row,
    output logic [LANES*WIDTH-1:0] merge_data,
    input  logic                   clear,
    input  logic [        ROW-1:0] clear_row,
    // Clears `clear_row` in both banks.
    input  logic                   clear_both
);
  localparam int COLUMNS = LANES > 1 ? 2 : 1;
  localparam int MEMORIES = LANES / COLUMNS;

  logic [LANES*WIDTH-1:0] data[2];
  logic [LANE-1:0] lane;
  always_ff @(posedge clk) if (read) lane <= read_lane;
  assign merge_data = bank ? data[0] : data[1];

  wire [LANES*WIDTH-1:0] accumulating = bank ? data[1] : data[0];
  assign read_data = accumulating[lane*WIDTH+:WIDTH];

  generate
    for (genvar b = 0; b < 2; b++) begin : g_bank
      wire mine = bank == b;
      wire [ROW-1:0] read_address = mine ? read_row : merge_row;
      wire [ROW-1:0] write_address = mine && !clear_both ? write_row : clear_row;
      for (genvar m = 0; m < MEMORIES; m++) begin : g_memory
        wire read_this = mine ? read && (MEMORIES == 1 || 32'(read_lane) / COLUMNS == m) : merge_read;
        logic [COLUMNS-1:0] write_columns;
        logic [COLUMNS*WIDTH-1:0] memory[0:ROWS-1];
        logic [COLUMNS*WIDTH-1:0] read_register;
        wire [WIDTH-1:0] value = mine && !clear_both ? write_data : '0;
        always_comb
          for (int c = 0; c < COLUMNS; c++)
            write_columns[c] = clear_both || (mine ? write && 32'(write_lane) == m * COLUMNS + c : clear);
        always_ff @(posedge clk) begin
          for (int c = 0; c < COLUMNS; c++)
            if (write_columns[c]) memory[write_address][c*WIDTH+:WIDTH] <= value;
          if (read_this) read_register <= memory[read_address];
        end
        assign data[b][m*COLUMNS*WIDTH+:COLUMNS*WIDTH] = read_register;
      end
    end
  endgenerate
endmodule
