// Adds up the SPUs' partial sums of a group of neurons: a binary tree of registers, log2(SPUS) levels, a group a cycle. Nothing is
// buffered and nothing waits: all SPUs put out the same group in the same cycle. Sums grow by a bit a level, so none is lost.
module merge_tree #(
    parameter int SPUS = 16,
    parameter int LANES = 4,
    parameter int WIDTH = 18,
    localparam int LEVELS = $clog2(SPUS),
    localparam int SUM = WIDTH + LEVELS
) (
    /* verilator lint_off UNUSEDSIGNAL */ // One SPU needs no tree.
    input  logic                        clk,
    input  logic                        reset,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic                        valid,
    input  logic [SPUS*LANES*WIDTH-1:0] partials,
    output logic                        sum_valid,
    output logic [       LANES*SUM-1:0] sums
);
  generate
    for (genvar l = 0; l <= LEVELS; l++) begin : g_level
      localparam int BITS = WIDTH + l;
      wire here;
      if (l == 0) assign here = valid;
      else begin : g_register
        logic valid_register;
        always_ff @(posedge clk) valid_register <= g_level[l-1].here && !reset;
        assign here = valid_register;
      end
      for (genvar n = 0; n < (SPUS >> l); n++) begin : g_node
        for (genvar k = 0; k < LANES; k++) begin : g_lane
          wire signed [BITS-1:0] sum;
          if (l == 0) assign sum = partials[(n*LANES+k)*WIDTH+:WIDTH];
          else begin : g_add
            logic signed [BITS-1:0] sum_register;
            always_ff @(posedge clk)
              if (g_level[l-1].here)
                sum_register <= BITS'(g_level[l-1].g_node[2*n].g_lane[k].sum)
                              + BITS'(g_level[l-1].g_node[2*n+1].g_lane[k].sum);
            assign sum = sum_register;
          end
        end
      end
    end

    for (genvar k = 0; k < LANES; k++) begin : g_sum
      assign sums[k*SUM+:SUM] = g_level[LEVELS].g_node[0].g_lane[k].sum;
    end
  endgenerate

  assign sum_valid = g_level[LEVELS].here;
endmodule
