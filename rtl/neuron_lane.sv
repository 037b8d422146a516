// One lane of the neuron unit: neurons lane, lane + LANES, ... Their words, the classes, the states, and the update
//   next = v - (v >>> leak) + sum + bias
// in five cycles from X0, in which the merged sum and all that belongs to the neuron are there, to X4, in which the state is written.
module neuron_lane #(
    parameter int GROUPS = 128,
    parameter int CLASSES = 16,
    parameter int SUM_BITS = 22,
    parameter int POTENTIAL_BITS = 24,
    localparam int GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1,
    localparam int CLASS = CLASSES > 1 ? $clog2(CLASSES) : 1
) (
    input  logic                             clk,
    input  logic                             reset,
    input  logic                             load_neuron,
    input  logic        [         GROUP-1:0] load_group,
    input  logic        [               2:0] load_class,
    input  logic        [         CLASS-1:0] load_class_index,
    input  logic        [              31:0] load_data,
    // Of each class in this machine step: it is computed; for the first time; or has been computed before or now.
    input  logic        [       CLASSES-1:0] active,
    input  logic        [       CLASSES-1:0] first,
    input  logic        [       CLASSES-1:0] started,
    // Two cycles and one before X0.
    input  logic                             look_up,
    input  logic        [         GROUP-1:0] look_up_group,
    input  logic                             fetch,
    input  logic        [         GROUP-1:0] fetch_group,
    // X0. A read puts out the potential and changes nothing.
    input  logic                             valid,
    input  logic                             valid_read,
    input  logic signed [      SUM_BITS-1:0] sum,
    // X4.
    input  logic        [         GROUP-1:0] write_group,
    output logic                             fire,
    output logic                             record,
    output logic signed [POTENTIAL_BITS-1:0] potential,
    output logic                             overflow
);
  /* verilator no_inline_module */ // One piece of code for all instances: it stays in the processor's cache.

  localparam int P = POTENTIAL_BITS;
  localparam int REFRACTORY = 14;
  localparam int BIAS = 26;
  // Of v - leak + sum + bias.
  localparam int FULL = (P > BIAS ? P : BIAS) + 2;

  // ---- look-up of the class, then of its parameters; of the state beside them
  /* verilator lint_off UNUSEDSIGNAL */ // Stored as loaded, whatever the number of classes.
  logic [5:0] neuron_class;
  /* verilator lint_on UNUSEDSIGNAL */
  logic signed [BIAS-1:0] bias;
  ram_sync #(
      .WIDTH(32),
      .DEPTH(GROUPS)
  ) neuron_memory (
      .clk,
      .write(load_neuron),
      .write_address(load_group),
      .write_data(load_data),
      .read(look_up),
      .read_address(look_up_group),
      .read_data({neuron_class, bias})
  );
  wire [CLASS-1:0] class_index = neuron_class[CLASS-1:0];

  logic signed [31:0] threshold;
  logic signed [P-1:0] reset_value;
  logic signed [P-1:0] initial_value;
  logic [4:0] leak_shift;
  logic spiking;
  logic subtract;
  logic recorded;
  logic [REFRACTORY-1:0] refractory_steps;
  ram_sync #(
      .WIDTH(32),
      .DEPTH(CLASSES),
      .STYLE("distributed")
  ) thresholds (
      .clk,
      .write(load_class == 3'd1),
      .write_address(load_class_index),
      .write_data(load_data),
      .read(fetch),
      .read_address(class_index),
      .read_data(threshold)
  );
  ram_sync #(
      .WIDTH(P),
      .DEPTH(CLASSES),
      .STYLE("distributed")
  ) reset_values (
      .clk,
      .write(load_class == 3'd2),
      .write_address(load_class_index),
      .write_data(load_data[P-1:0]),
      .read(fetch),
      .read_address(class_index),
      .read_data(reset_value)
  );
  ram_sync #(
      .WIDTH(P),
      .DEPTH(CLASSES),
      .STYLE("distributed")
  ) initial_values (
      .clk,
      .write(load_class == 3'd3),
      .write_address(load_class_index),
      .write_data(load_data[P-1:0]),
      .read(fetch),
      .read_address(class_index),
      .read_data(initial_value)
  );
  ram_sync #(
      .WIDTH(8),
      .DEPTH(CLASSES),
      .STYLE("distributed")
  ) flags (
      .clk,
      .write(load_class == 3'd4),
      .write_address(load_class_index),
      .write_data({load_data[10:8], load_data[4:0]}),
      .read(fetch),
      .read_address(class_index),
      .read_data({recorded, subtract, spiking, leak_shift})
  );
  // A sample has fewer than 2^14 steps, so longer times are as good as that.
  wire [REFRACTORY-1:0] load_refractory = load_data[31:REFRACTORY] != '0 ? '1 : load_data[REFRACTORY-1:0];
  ram_sync #(
      .WIDTH(REFRACTORY),
      .DEPTH(CLASSES),
      .STYLE("distributed")
  ) refractory_times (
      .clk,
      .write(load_class == 3'd5),
      .write_address(load_class_index),
      .write_data(load_refractory),
      .read(fetch),
      .read_address(class_index),
      .read_data(refractory_steps)
  );

  logic signed [P-1:0] state_v;
  logic [REFRACTORY-1:0] state_refractory;
  logic write;
  logic signed [P-1:0] write_v;
  logic [REFRACTORY-1:0] write_refractory;
  ram_sync #(
      .WIDTH(P + REFRACTORY),
      .DEPTH(GROUPS)
  ) states (
      .clk,
      .write,
      .write_address(write_group),
      .write_data({write_refractory, write_v}),
      .read(fetch),
      .read_address(fetch_group),
      .read_data({state_refractory, state_v})
  );

  logic is_active;
  logic is_first;
  logic is_started;
  logic signed [BIAS-1:0] bias0;
  always_ff @(posedge clk)
    if (fetch) begin
      bias0 <= bias;
      is_active <= active[class_index];
      is_first <= first[class_index];
      is_started <= started[class_index];
    end

  // ---- X0: where it starts from; what is added
  wire fresh = valid_read ? !is_started : is_first;
  wire signed [P-1:0] sum_kept = P'(sum);
  logic [3:1] stage;
  logic [4:1] updates;
  logic signed [P-1:0] v1, v2, v3, v4;
  logic [REFRACTORY-1:0] refractory1, refractory2, refractory3, refractory4;
  logic signed [31:0] threshold1, threshold2, threshold3;
  logic signed [P-1:0] reset1, reset2, reset3, reset4;
  logic [REFRACTORY-1:0] steps1, steps2, steps3, steps4;
  // {recorded, subtract, spiking}
  logic [2:0] flags1, flags2, flags3;
  logic [2:1] flags4;
  logic [4:0] leak1;
  logic signed [FULL-2:0] added1, added2;
  // ---- X1: leak
  // By itself: an unsigned operand beside it would make it a logical shift.
  wire signed [P-1:0] leaked1 = v1 >>> leak1;
  logic signed [P-1:0] leak2;
  // ---- X2: next
  logic signed [FULL-1:0] next3;
  // ---- X3: fires?
  logic signed [P-1:0] next4;
  logic lost4;
  logic fires4;
  wire signed [P-1:0] next3_kept = next3[P-1:0];
  wire signed [32:0] less3 = 33'(next3_kept) - 33'(threshold3);
  logic signed [P-1:0] less4;
  logic less_lost4;
  logic sum_lost;

  always_ff @(posedge clk) begin
    stage <= {stage[2:1], valid};
    updates <= {updates[3:1], valid && !valid_read && is_active};
    sum_lost <= 1'b0;
    if (valid) begin
      v1 <= fresh ? initial_value : state_v;
      refractory1 <= fresh ? '0 : state_refractory;
      threshold1 <= threshold;
      reset1 <= reset_value;
      steps1 <= refractory_steps;
      flags1 <= {recorded, subtract, spiking};
      leak1 <= leak_shift;
      added1 <= (FULL - 1)'(sum_kept) + (FULL - 1)'(bias0);
      sum_lost <= !valid_read && 64'(sum) != 64'(sum_kept);
    end
    if (stage[1]) begin
      leak2 <= leaked1;
      if (leak1 == '0) leak2 <= '0;
      added2 <= added1;
      v2 <= v1;
      refractory2 <= refractory1;
      threshold2 <= threshold1;
      reset2 <= reset1;
      steps2 <= steps1;
      flags2 <= flags1;
    end
    if (stage[2]) begin
      next3 <= FULL'(v2) - FULL'(leak2) + FULL'(added2);
      v3 <= v2;
      refractory3 <= refractory2;
      threshold3 <= threshold2;
      reset3 <= reset2;
      steps3 <= steps2;
      flags3 <= flags2;
    end
    if (stage[3]) begin
      next4 <= next3_kept;
      lost4 <= next3 != FULL'(next3_kept);
      fires4 <= flags3[0] && 32'(next3_kept) >= threshold3;
      less4 <= less3[P-1:0];
      less_lost4 <= less3 != 33'(signed'(less3[P-1:0]));
      v4 <= v3;
      refractory4 <= refractory3;
      reset4 <= reset3;
      steps4 <= steps3;
      flags4 <= flags3[2:1];
    end
    if (reset) begin
      stage <= '0;
      updates <= '0;
      sum_lost <= 1'b0;
    end
  end

  // ---- X4: what is kept
  wire held = refractory4 != '0;
  assign write = updates[4];
  assign fire = updates[4] && !held && fires4;
  assign record = fire && flags4[2];
  assign write_v = held ? v4 : !fires4 ? next4 : flags4[1] ? less4 : reset4;
  assign write_refractory = held ? refractory4 - 1'b1 : fires4 ? steps4 : '0;
  assign potential = v4;
  assign overflow = sum_lost || (updates[4] && !held && (lost4 || (fires4 && flags4[1] && less_lost4)));
endmodule
