// Tells the last machine step of a sample: stretch * (steps - 1) + max_skew + 1 of them, counted without a multiplier.
module step_counter (
    input  logic        clk,
    input  logic        start,
    input  logic        advance,
    input  logic [13:0] steps,
    input  logic [13:0] stretch,
    input  logic [13:0] max_skew,
    output logic        last
);
  logic [13:0] network_step;
  logic [13:0] phase;
  logic [13:0] left;
  wire reached = network_step + 14'd1 == steps && phase == '0;

  assign last = reached && left == '0;

  always_ff @(posedge clk) begin
    if (start) begin
      network_step <= '0;
      phase <= '0;
      left <= max_skew;
    end else if (advance) begin
      if (reached) left <= left - 1'b1;
      else if (phase + 14'd1 >= stretch) begin
        phase <= '0;
        network_step <= network_step + 1'b1;
      end else phase <= phase + 1'b1;
    end
  end
endmodule
