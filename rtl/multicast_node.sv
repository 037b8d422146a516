// A node of a multicast tree: takes an axon when a bit under it is set in the axon's mask. Nothing waits here; the injector's credits
// have seen to that.
module multicast_node #(
    parameter int LEAVES = 8,
    parameter int ROW = 9
) (
    input  logic              clk,
    input  logic              reset,
    input  logic [LEAVES-1:0] from_mask,
    input  logic [   ROW-1:0] from_row,
    output logic [LEAVES-1:0] mask,
    output logic [   ROW-1:0] row
);
  always_ff @(posedge clk) begin
    mask <= reset ? '0 : from_mask;
    if (from_mask != '0) row <= from_row;
  end
endmodule
