// Runs a sample: lets machine step s + 1 be accumulated while step s is merged, swaps at the barrier, and puts out potentials and `end`.
module step_controller (
    input  logic        clk,
    input  logic        reset,
    input  logic        begin_sample,
    input  logic [13:0] begin_steps,
    input  logic [15:0] begin_tag,
    input  logic [13:0] stretch,
    input  logic [13:0] max_skew,
    input  logic        read_any,
    input  logic        read_every_step,
    output logic [13:0] steps,
    output logic [15:0] tag,
    // Pulses: step 0 of a sample, or the next step, is accumulated from now on; the step before is merged from now on.
    output logic        sample_start,
    output logic        step_start,
    output logic        merge_start,
    output logic        read_start,
    output logic        bank,
    // The machine step whose spikes are put out.
    output logic [13:0] merge_step,
    // Ports, trees and SPUs have nothing to do.
    input  logic        accumulate_quiet,
    input  logic        activity_done,
    // Neuron unit and delivery have nothing to do.
    input  logic        merge_quiet,
    output logic        end_start,
    input  logic        end_done,
    output logic        running
);
  typedef enum logic [2:0] {WAITING, SWEEP, READ_STEP, READ_END, FINISH} state_t;
  state_t state;
  logic accumulating;
  logic settling;
  logic quiet;
  logic last_accumulated;
  logic last_merged;

  // Quiet a cycle ago, and two cycles after a start at the earliest: what a start sets in motion shows by then.
  wire barrier = accumulating && !step_start && !settling && quiet && activity_done && state == WAITING;
  wire starting = merge_start || read_start || end_start;
  wire over = merge_quiet && !starting;

  step_counter step_count (
      .clk,
      .start(begin_sample),
      .advance(barrier),
      .steps(begin_sample ? begin_steps : steps),
      .stretch,
      .max_skew,
      .last(last_accumulated)
  );

  always_ff @(posedge clk) begin
    sample_start <= begin_sample;
    step_start <= begin_sample || (barrier && !last_accumulated);
    merge_start <= barrier;
    read_start <= 1'b0;
    end_start <= 1'b0;
    settling <= step_start;
    quiet <= accumulate_quiet;
    if (begin_sample) begin
      running <= 1'b1;
      steps <= begin_steps;
      tag <= begin_tag;
      accumulating <= 1'b1;
      merge_step <= '1;
    end
    if (barrier) begin
      bank <= !bank;
      accumulating <= !last_accumulated;
      last_merged <= last_accumulated;
      merge_step <= merge_step + 1'b1;
      state <= SWEEP;
    end
    case (state)
      SWEEP:
      if (over) begin
        if (read_any && read_every_step) begin
          state <= READ_STEP;
          read_start <= 1'b1;
        end else if (last_merged && read_any) begin
          state <= READ_END;
          read_start <= 1'b1;
        end else if (last_merged) begin
          state <= FINISH;
          end_start <= 1'b1;
        end else state <= WAITING;
      end
      READ_STEP:
      if (over) begin
        if (last_merged) begin
          state <= READ_END;
          read_start <= 1'b1;
        end else state <= WAITING;
      end
      READ_END:
      if (over) begin
        state <= FINISH;
        end_start <= 1'b1;
      end
      FINISH:
      if (end_done) begin
        state <= WAITING;
        running <= 1'b0;
      end
      default: ;
    endcase
    if (reset) begin
      state <= WAITING;
      running <= 1'b0;
      accumulating <= 1'b0;
      sample_start <= 1'b0;
      step_start <= 1'b0;
      merge_start <= 1'b0;
      read_start <= 1'b0;
      end_start <= 1'b0;
      settling <= 1'b0;
      quiet <= 1'b0;
      bank <= 1'b0;
    end
  end
endmodule
