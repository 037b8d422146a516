// Memory with one write port and one read port whose data follow the address in the same cycle: look-up tables as RAM.
module ram_async #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 16,
    localparam int ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  logic               clk,
    input  logic               write,
    input  logic [ADDRESS-1:0] write_address,
    input  logic [  WIDTH-1:0] write_data,
    input  logic [ADDRESS-1:0] read_address,
    output logic [  WIDTH-1:0] read_data
);
  (* ram_style = "distributed" *) logic [WIDTH-1:0] memory[0:DEPTH-1];

  assign read_data = memory[read_address];

  always_ff @(posedge clk) if (write) memory[write_address] <= write_data;
endmodule
