// Memory with one write port and one read port, the read registered: block RAM, or look-up tables where `STYLE` says so. A read
// of the word that is being written gives the old one.
module ram_sync #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 16,
    /* verilator lint_off UNUSEDPARAM */ // Read by synthesis alone.
    parameter STYLE = "auto",
    /* verilator lint_on UNUSEDPARAM */
    localparam int ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  logic               clk,
    input  logic               write,
    input  logic [ADDRESS-1:0] write_address,
    input  logic [  WIDTH-1:0] write_data,
    input  logic               read,
    input  logic [ADDRESS-1:0] read_address,
    output logic [  WIDTH-1:0] read_data
);
  (* ram_style = STYLE *) logic [WIDTH-1:0] memory[0:DEPTH-1];

  // Written by blocking assignment, behind the read and nowhere else: the same hardware, and simulators keep no second copy.
  /* verilator lint_off BLKSEQ */
  always_ff @(posedge clk) begin
    if (read) read_data <= memory[read_address];
    if (write) memory[write_address] = write_data;
  end
  /* verilator lint_on BLKSEQ */

`ifndef SYNTHESIS
  // Before a reset has reached them, those who ask may ask for anything.
  int unsigned age = 0;
  always_ff @(posedge clk) begin
    if (age < 4) age <= age + 1;
    else begin
      if (write) assert (32'(write_address) < DEPTH) else $error("%m: write beyond the memory");
      if (read) assert (32'(read_address) < DEPTH) else $error("%m: read beyond the memory");
    end
  end
`endif
endmodule
