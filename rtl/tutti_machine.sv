// The synapse machine (docs/suprasnn.md): words in and out over AXI-Stream, identification, status and counters over AXI-Lite.
// Parameters: host/snn/machine/config.ts, which also has their bounds.
module tutti_machine #(
    parameter int SPUS = 16,
    parameter int PORTS = 2,
    parameter int LANES = 4,
    parameter int WEIGHT_BITS = 8,
    parameter int WEIGHTS = 256,
    parameter int OPERATIONS = 4096,
    parameter int ACCUMULATORS = 512,
    parameter int AXONS = 2048,
    parameter int NEURONS = 512,
    parameter int CLASSES = 16,
    parameter int FIFO = 16,
    parameter int DELAY_SLOTS = 16,
    parameter int QUEUE = 512,
    parameter int ACCUMULATOR_BITS = 18,
    parameter int POTENTIAL_BITS = 24
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [15:0] s_axil_awaddr,
    input  logic        s_axil_awvalid,
    output logic        s_axil_awready,
    input  logic [31:0] s_axil_wdata,
    input  logic [ 3:0] s_axil_wstrb,
    input  logic        s_axil_wvalid,
    output logic        s_axil_wready,
    output logic [ 1:0] s_axil_bresp,
    output logic        s_axil_bvalid,
    input  logic        s_axil_bready,
    input  logic [15:0] s_axil_araddr,
    input  logic        s_axil_arvalid,
    output logic        s_axil_arready,
    output logic [31:0] s_axil_rdata,
    output logic [ 1:0] s_axil_rresp,
    output logic        s_axil_rvalid,
    input  logic        s_axil_rready,
    input  logic [31:0] s_axis_tdata,
    input  logic        s_axis_tvalid,
    output logic        s_axis_tready,
    /* verilator lint_off UNUSEDSIGNAL */ // The words themselves say where a step or sample ends.
    input  logic        s_axis_tlast,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic [31:0] m_axis_tdata,
    output logic        m_axis_tvalid,
    input  logic        m_axis_tready,
    output logic        m_axis_tlast
);
  `include "generated/stream_words.svh"

  localparam int LEAVES = SPUS / PORTS;
  localparam int PORT_BITS = $clog2(PORTS);
  localparam int PORT_AXONS = AXONS / PORTS;
  localparam int ROW = PORT_AXONS > 1 ? $clog2(PORT_AXONS) : 1;
  localparam int SLOT = $clog2(DELAY_SLOTS);
  // Levels of the merge tree, and those of one port.
  localparam int TREE = $clog2(SPUS);
  localparam int LEVELS = $clog2(LEAVES);
  localparam int CLUSTER_BITS = ACCUMULATOR_BITS + LEVELS;
  localparam int SUM_BITS = ACCUMULATOR_BITS + TREE;
  localparam int GROUPS = NEURONS / LANES;
  localparam int GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam int CLASS = CLASSES > 1 ? $clog2(CLASSES) : 1;
  localparam int ACC_ROWS = ACCUMULATORS / LANES;
  // Cycles from the start of a group in the neuron unit to its last.
  localparam int UNDER_WAY = TREE + 7;

  // ---- reset, after which both banks of accumulators are cleared
  logic reset;
  logic [15:0] clear_row;
  wire clearing = clear_row != 16'(ACC_ROWS);
  always_ff @(posedge clk)
    if (reset) clear_row <= '0;
    else if (clearing) clear_row <= clear_row + 1'b1;

  // ---- words in
  logic load_write;
  logic [5:0] load_memory;
  logic [7:0] load_spu;
  logic [23:0] load_address;
  logic [2:0] load_field;
  logic [31:0] load_data;
  logic loading;
  logic begin_sample;
  logic [13:0] begin_steps;
  logic [15:0] begin_tag;
  logic end_done;
  logic [PORTS-1:0] rooms;
  logic [PORTS-1:0] push;
  logic [PORTS-1:0] push_axon;
  logic push_last;
  logic [PORTS*ROW-1:0] push_row;
  logic bad_word;
  logic [13:0] stretch;
  logic [13:0] max_skew;
  logic [16:0] groups;
  logic [15:0] read_first;
  logic [16:0] read_count;
  logic read_every_step;
  logic [20:0] axons;
  input_splitter #(
      .SPUS(SPUS),
      .PORTS(PORTS),
      .LANES(LANES),
      .WEIGHTS(WEIGHTS),
      .OPERATIONS(OPERATIONS),
      .AXONS(AXONS),
      .NEURONS(NEURONS),
      .CLASSES(CLASSES)
  ) splitter (
      .clk,
      .reset,
      .cleared(!clearing && !reset),
      .tdata(s_axis_tdata),
      .tvalid(s_axis_tvalid),
      .tready(s_axis_tready),
      .load_write,
      .load_memory,
      .load_spu,
      .load_address,
      .load_field,
      .load_data,
      .loading,
      .stretch,
      .max_skew,
      .axons,
      .begin_sample,
      .begin_steps,
      .begin_tag,
      .sample_done(end_done),
      .room(rooms == '1),
      .push,
      .push_axon,
      .push_last,
      .push_row,
      .bad_word
  );

  control_memory control (
      .clk,
      .write(load_write && load_memory == MEMORY_CONTROL),
      .address(load_address[2:0]),
      .data(load_data),
      .stretch,
      .max_skew,
      .groups,
      .read_first,
      .read_count,
      .read_every_step,
      .axons
  );

  // ---- steps
  logic [13:0] steps;
  logic [15:0] tag;
  logic sample_start;
  logic step_start;
  logic merge_start;
  logic read_start;
  logic bank;
  logic [13:0] merge_step;
  logic activity_done;
  logic [PORTS-1:0] ports_quiet;
  logic neurons_quiet;
  logic delivery_quiet;
  logic end_start;
  logic running;
  step_controller controller (
      .clk,
      .reset,
      .begin_sample,
      .begin_steps,
      .begin_tag,
      .stretch,
      .max_skew,
      .read_any(read_count != '0),
      .read_every_step,
      .steps,
      .tag,
      .sample_start,
      .step_start,
      .merge_start,
      .read_start,
      .bank,
      .merge_step,
      .accumulate_quiet(ports_quiet == '1),
      .activity_done,
      .merge_quiet(neurons_quiet && delivery_quiet),
      .end_start,
      .end_done,
      .running
  );

  // ---- ports with their SPUs, and the top of the merge tree
  logic [PORTS-1:0] deliver;
  logic [ROW-1:0] deliver_row;
  logic [PORTS-1:0] queue_overflows;
  logic [PORTS-1:0] sum_overflows;
  logic [SPUS-1:0] executed;
  logic merge;
  logic [GROUP-1:0] merge_group;
  // Levels of the merge tree that work in this cycle: level 0 is the SPUs' partial sums, known three cycles after `merge`.
  logic [TREE+2:0] merging;
  wire [TREE:0] merge_level = merging[TREE+2:2];
  always_ff @(posedge clk) merging <= reset ? '0 : {merging[TREE+1:0], merge};
  generate
    for (genvar q = 0; q < PORTS; q++) begin : g_port
      wire [LANES*CLUSTER_BITS-1:0] sums;
      spu_cluster #(
          .PORT(q),
          .PORTS(PORTS),
          .LEAVES(LEAVES),
          .LANES(LANES),
          .WEIGHT_BITS(WEIGHT_BITS),
          .WEIGHTS(WEIGHTS),
          .OPERATIONS(OPERATIONS),
          .ACCUMULATORS(ACCUMULATORS),
          .AXONS(AXONS),
          .GROUPS(GROUPS),
          .FIFO(FIFO),
          .DELAY_SLOTS(DELAY_SLOTS),
          .QUEUE(QUEUE),
          .ACCUMULATOR_BITS(ACCUMULATOR_BITS)
      ) cluster (
          .clk,
          .reset,
          .load_write,
          .load_memory,
          .load_spu,
          .load_address,
          .load_data,
          .sample_start,
          .step_start,
          .push(push[q]),
          .push_axon(push_axon[q]),
          .push_last,
          .push_row(push_row[q*ROW+:ROW]),
          .room(rooms[q]),
          .deliver(deliver[q]),
          .deliver_row,
          .merge_slot(merge_step[SLOT-1:0]),
          .quiet(ports_quiet[q]),
          .executed(executed[q*LEAVES+:LEAVES]),
          .queue_overflow(queue_overflows[q]),
          .sum_overflow(sum_overflows[q]),
          .bank,
          .merge_start,
          .merge,
          .merge_group,
          .merge_level(merge_level[LEVELS:0]),
          .sums,
          .clear_both(clearing),
          .clear_row
      );
    end

    for (genvar l = 0; l <= PORT_BITS; l++) begin : g_merge
      for (genvar n = 0; n < (PORTS >> l); n++) begin : g_node
        wire [LANES*(CLUSTER_BITS+l)-1:0] sum;
        if (l == 0) begin : g_leaf
          assign sum = g_port[n].sums;
        end else begin : g_inner
          merge_node #(
              .LANES(LANES),
              .WIDTH(CLUSTER_BITS + l - 1)
          ) node (
              .clk,
              .valid(merge_level[LEVELS+l-1]),
              .left(g_merge[l-1].g_node[2*n].sum),
              .right(g_merge[l-1].g_node[2*n+1].sum),
              .sum
          );
        end
      end
    end
  endgenerate
  wire [LANES*SUM_BITS-1:0] sums = g_merge[PORT_BITS].g_node[0].sum;

  // ---- neuron unit
  logic [CLASSES-1:0] active;
  logic [CLASSES-1:0] first;
  logic [CLASSES-1:0] started;
  wire load_class = load_write && load_memory == MEMORY_CLASSES;
  class_activity #(
      .CLASSES(CLASSES)
  ) activity (
      .clk,
      .reset,
      .load_skew(load_class && load_field == 3'd5),
      .load_class(load_address[CLASS-1:0]),
      .load_data(load_data[13:0]),
      .stretch,
      .steps,
      .sample_start,
      .step_start,
      .merge_start,
      .done(activity_done),
      .active,
      .first,
      .started
  );

  logic spikes;
  logic [GROUP-1:0] spike_group;
  logic [LANES-1:0] spike_fired;
  logic [LANES-1:0] spike_recorded;
  logic spike_space;
  logic potential_valid;
  logic [POTENTIAL_BITS-1:0] potential;
  logic potential_room;
  logic neuron_overflow;
  neuron_unit #(
      .LANES(LANES),
      .NEURONS(NEURONS),
      .CLASSES(CLASSES),
      .SUM_BITS(SUM_BITS),
      .POTENTIAL_BITS(POTENTIAL_BITS),
      .TREE(TREE)
  ) neurons (
      .clk,
      .reset,
      .load_neuron(load_write && load_memory == MEMORY_NEURONS),
      .load_class,
      .load_address,
      .load_field,
      .load_data,
      .groups,
      .merge_start,
      .merge_room(spike_space),
      .merge,
      .merge_group,
      .read_start,
      .read_first,
      .read_count,
      .read_room(potential_room),
      .active,
      .first,
      .started,
      .sum_valid(merge_level[TREE]),
      .sums,
      .spikes,
      .spike_group,
      .spike_fired,
      .spike_recorded,
      .potential_valid,
      .potential,
      .overflow(neuron_overflow),
      .quiet(neurons_quiet)
  );

  // ---- spikes go out, and back to the ports
  logic output_spike;
  logic [15:0] output_neuron;
  logic output_room;
  logic spike_done;
  spike_delivery #(
      .PORTS(PORTS),
      .LANES(LANES),
      .NEURONS(NEURONS),
      .AXONS(AXONS),
      .UNDER_WAY(UNDER_WAY)
  ) delivery (
      .clk,
      .reset,
      .load_fan_out(load_write && load_memory == MEMORY_FAN_OUT),
      .load_address,
      .load_data,
      .spikes,
      .spike_group,
      .spike_fired,
      .spike_recorded,
      .room(spike_space),
      .output_valid(output_spike),
      .output_neuron,
      .output_room,
      .deliver,
      .deliver_row,
      .spike_done,
      .quiet(delivery_quiet)
  );

  // ---- counts and status of the sample
  localparam int EXECUTED = $clog2(SPUS + 1);
  logic [EXECUTED-1:0] executed_count;
  logic [EXECUTED-1:0] executed_now;
  logic [31:0] operations;
  logic [31:0] spike_count;
  logic [2:0] status;
  always_comb begin
    executed_now = '0;
    for (int p = 0; p < SPUS; p++) executed_now = executed_now + EXECUTED'(executed[p]);
  end
  always_ff @(posedge clk) begin
    executed_count <= executed_now;
    operations <= operations + 32'(executed_count);
    spike_count <= spike_count + 32'(spike_done);
    status <= status | {bad_word, queue_overflows != '0, sum_overflows != '0 || neuron_overflow};
    if (sample_start) begin
      operations  <= '0;
      spike_count <= '0;
    end
    if (reset || end_done) status <= '0;
    if (reset) executed_count <= '0;
  end

  output_arbiter #(
      .POTENTIAL_BITS(POTENTIAL_BITS),
      .UNDER_WAY(UNDER_WAY)
  ) arbiter (
      .clk,
      .reset,
      .begin_sample,
      .spike(output_spike),
      .spike_step(merge_step),
      .spike_neuron(output_neuron),
      .spike_room(output_room),
      .potential_valid,
      .potential,
      .potential_room,
      .end_start,
      .end_tag(tag),
      .end_status(14'(status)),
      .end_operations(operations),
      .end_spikes(spike_count),
      .end_done,
      .tdata(m_axis_tdata),
      .tvalid(m_axis_tvalid),
      .tready(m_axis_tready),
      .tlast(m_axis_tlast)
  );

  register_block #(
      .SPUS(SPUS),
      .PORTS(PORTS),
      .LANES(LANES),
      .WEIGHT_BITS(WEIGHT_BITS),
      .WEIGHTS(WEIGHTS),
      .OPERATIONS(OPERATIONS),
      .ACCUMULATORS(ACCUMULATORS),
      .AXONS(AXONS),
      .NEURONS(NEURONS),
      .CLASSES(CLASSES),
      .FIFO(FIFO),
      .DELAY_SLOTS(DELAY_SLOTS),
      .QUEUE(QUEUE),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .POTENTIAL_BITS(POTENTIAL_BITS)
  ) registers (
      .clk,
      .rst_n,
      .s_axil_awaddr,
      .s_axil_awvalid,
      .s_axil_awready,
      .s_axil_wdata,
      .s_axil_wstrb,
      .s_axil_wvalid,
      .s_axil_wready,
      .s_axil_bresp,
      .s_axil_bvalid,
      .s_axil_bready,
      .s_axil_araddr,
      .s_axil_arvalid,
      .s_axil_arready,
      .s_axil_rdata,
      .s_axil_rresp,
      .s_axil_rvalid,
      .s_axil_rready,
      .reset,
      .running,
      .loading,
      .output_waiting(m_axis_tvalid),
      .word_in(s_axis_tvalid && s_axis_tready),
      .word_out(m_axis_tvalid && m_axis_tready),
      .sample_done(end_done),
      .sample_status(status)
  );
endmodule
