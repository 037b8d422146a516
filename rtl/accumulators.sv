// The partial sums of one SPU: two banks, one that synapses accumulate into while the other is merged; in each, `LANES` columns, so
// that a group's sums are read in one cycle. Two columns share a memory, a pair in a word, which they fill to the width of a block RAM.
module accumulators #(
    parameter int LANES = 4,
    parameter int ROWS = 128,
    parameter int WIDTH = 18,
    localparam int ROW = ROWS > 1 ? $clog2(ROWS) : 1,
    localparam int COLUMNS = LANES > 1 ? 2 : 1,
    localparam int MEMORIES = LANES / COLUMNS,
    localparam int MEMORY = MEMORIES > 1 ? $clog2(MEMORIES) : 1,
    localparam int PAIR = COLUMNS * WIDTH
) (
    input  logic                   clk,
    // The bank that is accumulated into.
    input  logic                   bank,
    input  logic                   read,
    input  logic [        ROW-1:0] read_row,
    input  logic [     MEMORY-1:0] read_memory,
    // In the next cycle.
    output logic [       PAIR-1:0] read_pair,
    input  logic                   write,
    input  logic [        ROW-1:0] write_row,
    input  logic [     MEMORY-1:0] write_memory,
    input  logic [       PAIR-1:0] write_pair,
    // The other bank: read; put out in the next cycle, or zeros put out; cleared in that cycle too.
    input  logic                   merge_read,
    input  logic [        ROW-1:0] merge_row,
    input  logic                   put_out,
    input  logic                   put_out_sums,
    output logic [LANES*WIDTH-1:0] partial,
    input  logic                   clear,
    input  logic [        ROW-1:0] clear_row,
    // Clears `clear_row` in both banks.
    input  logic                   clear_both
);
  logic [MEMORY-1:0] from_memory;
  always_ff @(posedge clk) if (read) from_memory <= read_memory;

  wire [ROW-1:0] write_row0 = bank || clear_both ? clear_row : write_row;
  wire [ROW-1:0] write_row1 = bank && !clear_both ? write_row : clear_row;
  wire [ROW-1:0] read_row0 = bank ? merge_row : read_row;
  wire [ROW-1:0] read_row1 = bank ? read_row : merge_row;
  wire [PAIR-1:0] write_pair0 = bank || clear_both ? '0 : write_pair;
  wire [PAIR-1:0] write_pair1 = bank && !clear_both ? write_pair : '0;

  generate
    for (genvar m = 0; m < MEMORIES; m++) begin : g_memory
      wire read_here = read && read_memory == MEMORY'(m);
      wire write_here = write && write_memory == MEMORY'(m);
      logic [PAIR-1:0] pair0;
      logic [PAIR-1:0] pair1;
      ram_sync #(
          .WIDTH(PAIR),
          .DEPTH(ROWS)
      ) bank0 (
          .clk,
          .write((bank ? clear : write_here) || clear_both),
          .write_address(write_row0),
          .write_data(write_pair0),
          .read(bank ? merge_read : read_here),
          .read_address(read_row0),
          .read_data(pair0)
      );
      ram_sync #(
          .WIDTH(PAIR),
          .DEPTH(ROWS)
      ) bank1 (
          .clk,
          .write((bank ? write_here : clear) || clear_both),
          .write_address(write_row1),
          .write_data(write_pair1),
          .read(bank ? read_here : merge_read),
          .read_address(read_row1),
          .read_data(pair1)
      );

      wire [PAIR-1:0] selected;
      if (m == 0) assign selected = from_memory == '0 ? (bank ? pair1 : pair0) : '0;
      else assign selected = from_memory == MEMORY'(m) ? (bank ? pair1 : pair0) : g_memory[m-1].selected;
      always_ff @(posedge clk)
        if (put_out) partial[m*PAIR+:PAIR] <= put_out_sums ? (bank ? pair0 : pair1) : '0;
    end
  endgenerate

  assign read_pair = g_memory[MEMORIES-1].selected;
endmodule
