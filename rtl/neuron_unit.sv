// The unified neuron unit: sweeps the groups of neurons once a machine step, a group a cycle unless spikes pile up; asks the SPUs for a
// group's sums, and updates its `LANES` neurons when the sums leave the merge tree. Also puts out potentials, neuron by neuron, by
// sending them through the same pipeline without an update.
//
// Cycle of a group: 0 it is asked for; 3 its partial sums are known; TREE + 3 = X0, its sums are merged; TREE + 7 = X4, its neurons' state
// is written and its spikes are put out.
module neuron_unit #(
    parameter int LANES = 4,
    parameter int NEURONS = 512,
    parameter int CLASSES = 16,
    parameter int SUM_BITS = 22,
    parameter int POTENTIAL_BITS = 24,
    // Levels of the merge tree.
    parameter int TREE = 4,
    localparam int GROUPS = NEURONS / LANES,
    localparam int GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1,
    localparam int LANE_BITS = $clog2(LANES),
    localparam int LANE = LANES > 1 ? LANE_BITS : 1,
    localparam int CLASS = CLASSES > 1 ? $clog2(CLASSES) : 1
) (
    input  logic                       clk,
    input  logic                       reset,
    input  logic                       load_neuron,
    input  logic                       load_class,
    input  logic [               23:0] load_address,
    input  logic [                2:0] load_field,
    input  logic [               31:0] load_data,
    input  logic [               16:0] groups,
    // A sweep; it pauses while there is no room for spikes.
    input  logic                       merge_start,
    input  logic                       merge_room,
    output logic                       merge,
    output logic [          GROUP-1:0] merge_group,
    // A read-out.
    input  logic                       read_start,
    input  logic [               15:0] read_first,
    input  logic [               16:0] read_count,
    input  logic                       read_room,
    input  logic [        CLASSES-1:0] active,
    input  logic [        CLASSES-1:0] first,
    input  logic [        CLASSES-1:0] started,
    input  logic                       sum_valid,
    input  logic [ LANES*SUM_BITS-1:0] sums,
    // Neurons of a group that fired, and those of them to be recorded.
    output logic                       spikes,
    output logic [          GROUP-1:0] spike_group,
    output logic [          LANES-1:0] spike_fired,
    output logic [          LANES-1:0] spike_recorded,
    output logic                       potential_valid,
    output logic [ POTENTIAL_BITS-1:0] potential,
    output logic                       overflow,
    output logic                       quiet
);
  localparam int X0 = TREE + 3;
  localparam int X4 = TREE + 7;

  // ---- what enters
  logic [16:0] groups_left;
  logic [16:0] reads_left;
  logic [15:0] read_at;
  assign merge = groups_left != '0 && merge_room;
  wire read = reads_left != '0 && read_room;
  always_ff @(posedge clk) begin
    if (merge_start) begin
      groups_left <= groups;
      merge_group <= '0;
    end else if (merge) begin
      groups_left <= groups_left - 1'b1;
      merge_group <= merge_group + 1'b1;
    end
    if (read_start) begin
      reads_left <= read_count;
      read_at <= read_first;
    end else if (read) begin
      reads_left <= reads_left - 1'b1;
      read_at <= read_at + 1'b1;
    end
    if (reset) begin
      groups_left <= '0;
      reads_left  <= '0;
    end
  end

  // ---- what is under way: valid, read, group, lane
  logic [X4:1] valid;
  logic [X4:1] is_read;
  logic [GROUP-1:0] group[1:X4];
  logic [LANE-1:0] lane[1:X4];
  always_ff @(posedge clk) begin
    valid <= {valid[X4-1:1], merge || read};
    is_read <= {is_read[X4-1:1], read};
    if (merge || read || valid != '0) begin
      group[1] <= read ? GROUP'(read_at >> LANE_BITS) : merge_group;
      lane[1] <= LANE'(32'(read_at) % LANES);
      for (int s = 2; s <= X4; s++) begin
        group[s] <= group[s-1];
        lane[s]  <= lane[s-1];
      end
    end
    if (reset) valid <= '0;
  end
  assign quiet = groups_left == '0 && reads_left == '0 && valid == '0;

  logic [LANES*POTENTIAL_BITS-1:0] potentials;
  logic [LANES-1:0] overflows;
  generate
    for (genvar k = 0; k < LANES; k++) begin : g_lane
      neuron_lane #(
          .GROUPS(GROUPS),
          .CLASSES(CLASSES),
          .SUM_BITS(SUM_BITS),
          .POTENTIAL_BITS(POTENTIAL_BITS)
      ) lane_unit (
          .clk,
          .reset,
          .load_neuron(load_neuron && 32'(load_address) % LANES == k),
          .load_group(GROUP'(load_address >> LANE_BITS)),
          .load_class(load_class ? load_field + 3'd1 : 3'd0),
          .load_class_index(load_address[CLASS-1:0]),
          .load_data,
          .active,
          .first,
          .started,
          .look_up(valid[X0-2]),
          .look_up_group(group[X0-2]),
          .fetch(valid[X0-1]),
          .fetch_group(group[X0-1]),
          .valid(valid[X0]),
          .valid_read(is_read[X0]),
          .sum(sums[k*SUM_BITS+:SUM_BITS]),
          .write_group(group[X4]),
          .fire(spike_fired[k]),
          .record(spike_recorded[k]),
          .potential(potentials[k*POTENTIAL_BITS+:POTENTIAL_BITS]),
          .overflow(overflows[k])
      );
    end
  endgenerate

  assign spikes = valid[X4] && !is_read[X4] && spike_fired != '0;
  assign spike_group = group[X4];
  assign potential_valid = valid[X4] && is_read[X4];
  assign potential = potentials[lane[X4]*POTENTIAL_BITS+:POTENTIAL_BITS];
  always_ff @(posedge clk) overflow <= overflows != '0 && !reset;

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!reset) begin
      assert ((valid[X0] && !is_read[X0]) == sum_valid) else $error("%m: sums and neurons are not aligned");
      assert (!(merge && read)) else $error("%m: read while merging");
      cover (groups_left != '0 && !merge_room);
      cover (overflow);
    end
`endif
endmodule
