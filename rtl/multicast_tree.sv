// Carries an axon from a port to the SPUs whose bits are set in its mask: a binary tree of registers, log2(LEAVES) + 1 levels, in
// which a node takes an axon only when a bit under it is set. Nothing waits inside; the injector's credits have seen to that.
module multicast_tree #(
    parameter int LEAVES = 8,
    parameter int ROW = 9,
    localparam int LEVELS = $clog2(LEAVES)
) (
    input  logic                  clk,
    input  logic                  reset,
    input  logic [    LEAVES-1:0] mask,
    input  logic [       ROW-1:0] row,
    output logic [    LEAVES-1:0] leaf_valid,
    output logic [LEAVES*ROW-1:0] leaf_row,
    output logic                  quiet
);
  generate
    for (genvar l = 0; l <= LEVELS; l++) begin : g_level
      localparam int SPAN = LEAVES >> l;
      logic [LEAVES-1:0] at;
      wire [LEAVES-1:0] from;
      wire idle;
      if (l == 0) assign from = mask;
      else assign from = g_level[l-1].at;
      always_ff @(posedge clk) at <= reset ? '0 : from;
      if (l == 0) assign idle = at == '0;
      else assign idle = at == '0 && g_level[l-1].idle;

      for (genvar n = 0; n < (1 << l); n++) begin : g_node
        logic [ROW-1:0] node_row;
        wire [ROW-1:0] from_row;
        if (l == 0) assign from_row = row;
        else assign from_row = g_level[l-1].g_node[n/2].node_row;
        always_ff @(posedge clk) if (from[n*SPAN+:SPAN] != '0) node_row <= from_row;
      end
    end

    for (genvar p = 0; p < LEAVES; p++) begin : g_leaf
      assign leaf_row[p*ROW+:ROW] = g_level[LEVELS].g_node[p].node_row;
    end
  endgenerate

  assign leaf_valid = g_level[LEVELS].at;
  assign quiet = g_level[LEVELS].idle;
endmodule
