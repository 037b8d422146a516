// A node of the merge tree: adds two halves' sums of a group of neurons. Nothing is buffered and nothing waits: all SPUs put out the same
// group in the same cycle. The sum is a bit wider, so that none is lost.
module merge_node #(
    parameter int LANES = 4,
    parameter int WIDTH = 18
) (
    input  logic                       clk,
    input  logic                       valid,
    input  logic [    LANES*WIDTH-1:0] left,
    input  logic [    LANES*WIDTH-1:0] right,
    output logic [LANES*(WIDTH+1)-1:0] sum
);
  always_ff @(posedge clk)
    if (valid)
      for (int k = 0; k < LANES; k++)
        sum[k*(WIDTH+1)+:WIDTH+1] <= {left[k*WIDTH+WIDTH-1], left[k*WIDTH+:WIDTH]}
                                   + {right[k*WIDTH+WIDTH-1], right[k*WIDTH+:WIDTH]};
endmodule
