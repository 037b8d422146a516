// Orders what the machine puts out: spikes and potentials as they come (never in the same cycle: the controller reads only when all
// spikes of the step are dealt with), then the four words of `end`.
module output_arbiter #(
    parameter int POTENTIAL_BITS = 24,
    // Potentials that may be under way when the FIFO is looked at.
    parameter int UNDER_WAY = 12,
    parameter int OUTPUT_FIFO = 32
) (
    input  logic                      clk,
    input  logic                      reset,
    input  logic                      begin_sample,
    input  logic                      spike,
    input  logic [              13:0] spike_step,
    input  logic [              15:0] spike_neuron,
    output logic                      spike_room,
    input  logic                      potential_valid,
    input  logic [POTENTIAL_BITS-1:0] potential,
    output logic                      potential_room,
    input  logic                      end_start,
    input  logic [              15:0] end_tag,
    input  logic [              13:0] end_status,
    input  logic [              31:0] end_operations,
    input  logic [              31:0] end_spikes,
    output logic                      end_done,
    output logic [              31:0] tdata,
    output logic                      tvalid,
    input  logic                      tready,
    output logic                      tlast
);
  `include "generated/stream_words.svh"

  // From `begin` on.
  logic [31:0] cycle;
  logic [2:0] end_left;
  wire end_push = end_left != '0 && spike_room;
  assign end_done = end_push && end_left == 3'd1;

  logic [31:0] word;
  always_comb
    if (spike) word = {OUTPUT_SPIKE, spike_step, spike_neuron};
    else if (potential_valid) word = {OUTPUT_POTENTIAL, 30'(signed'(potential))};
    else
      case (end_left)
        3'd4: word = {OUTPUT_END, end_status, end_tag};
        // The last word is pushed two cycles later, and offered a cycle after that.
        3'd3: word = cycle + 32'd3;
        3'd2: word = end_operations;
        default: word = end_spikes;
      endcase

  localparam int LEVEL = $clog2(OUTPUT_FIFO + 1);
  logic empty;
  logic [LEVEL-1:0] level;
  fifo #(
      .WIDTH(33),
      .DEPTH(OUTPUT_FIFO)
  ) words (
      .clk,
      .reset,
      .push(spike || potential_valid || end_push),
      .push_data({end_done, word}),
      .pop(tvalid && tready),
      .head({tlast, tdata}),
      .empty,
      .level
  );
  assign tvalid = !empty;
  assign spike_room = level != LEVEL'(OUTPUT_FIFO);
  assign potential_room = level <= LEVEL'(OUTPUT_FIFO - 1 - UNDER_WAY);

  always_ff @(posedge clk) begin
    cycle <= begin_sample ? 32'd1 : cycle + 1'b1;
    if (end_start) end_left <= 3'd4;
    else if (end_push) end_left <= end_left - 1'b1;
    if (reset) end_left <= '0;
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!reset) begin
      assert (2'(spike) + 2'(potential_valid) + 2'(end_left != '0) <= 2'd1) else $error("%m: words out of order");
      cover (level == LEVEL'(OUTPUT_FIFO));
      cover (!potential_room);
    end
`endif
endmodule
