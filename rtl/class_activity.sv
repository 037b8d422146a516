// Which classes of neurons are computed in a machine step: the first time after `skew` steps, then in every `stretch`-th, `steps` times in
// all. One class a cycle is worked out for the next merge, while its step is being accumulated.
module class_activity #(
    parameter int CLASSES = 16,
    localparam int CLASS = CLASSES > 1 ? $clog2(CLASSES) : 1
) (
    input  logic               clk,
    input  logic               reset,
    input  logic               load_skew,
    input  logic [  CLASS-1:0] load_class,
    input  logic [       13:0] load_data,
    input  logic [       13:0] stretch,
    input  logic [       13:0] steps,
    // Works out machine step 0, or the next one.
    input  logic               sample_start,
    input  logic               step_start,
    // What was worked out is put out from the next cycle on.
    input  logic               merge_start,
    output logic               done,
    output logic [CLASSES-1:0] active,
    output logic [CLASSES-1:0] first,
    output logic [CLASSES-1:0] started
);
  logic [CLASS:0] at;
  logic fresh;
  wire [CLASS-1:0] index = at[CLASS-1:0];
  wire working = at != (CLASS + 1)'(CLASSES);
  assign done = !working;

  logic [13:0] skew;
  logic [13:0] wait_stored;
  logic [13:0] left_stored;
  wire [13:0] waiting = fresh ? skew : wait_stored;
  wire [13:0] left = fresh ? steps : left_stored;
  wire now = waiting == '0 && left != '0;
  wire [13:0] left_after = now ? left - 1'b1 : left;
  ram_async #(
      .WIDTH(14),
      .DEPTH(CLASSES)
  ) skews (
      .clk,
      .write(load_skew),
      .write_address(load_class),
      .write_data(load_data),
      .read_address(index),
      .read_data(skew)
  );
  ram_async #(
      .WIDTH(28),
      .DEPTH(CLASSES)
  ) progress (
      .clk,
      .write(working),
      .write_address(index),
      .write_data({left_after, waiting == '0 ? stretch - 1'b1 : waiting - 1'b1}),
      .read_address(index),
      .read_data({left_stored, wait_stored})
  );

  logic [CLASSES-1:0] next_active;
  logic [CLASSES-1:0] next_first;
  logic [CLASSES-1:0] next_started;
  always_ff @(posedge clk) begin
    if (working) begin
      at <= at + 1'b1;
      next_active[index] <= now;
      next_first[index] <= now && left == steps;
      next_started[index] <= left_after != steps;
    end
    if (merge_start) begin
      active <= next_active;
      first <= next_first;
      started <= next_started;
    end
    if (step_start) begin
      at <= '0;
      fresh <= sample_start;
    end
    if (reset) at <= (CLASS + 1)'(CLASSES);
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk) if (merge_start && !reset) assert (done) else $error("%m: merged before it was done");
`endif
endmodule
