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
    parameter int AXONS = 1024,
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
  localparam int TREE = $clog2(SPUS);
  localparam int SUM_BITS = ACCUMULATOR_BITS + TREE;
  localparam int PARTIAL = LANES * ACCUMULATOR_BITS;
  localparam int GROUPS = NEURONS / LANES;
  localparam int GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam int CLASS = CLASSES > 1 ? $clog2(CLASSES) : 1;
  localparam int ROUTING_WORDS = (LEAVES + 31) / 32;
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
  logic [SPUS-1:0] spus_quiet;
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
      .accumulate_quiet(ports_quiet == '1 && spus_quiet == '1),
      .activity_done,
      .merge_quiet(neurons_quiet && delivery_quiet),
      .end_start,
      .end_done,
      .running
  );

  // ---- ports, and SPUs behind them
  logic [PORTS-1:0] deliver;
  logic [ROW-1:0] deliver_row;
  logic [PORTS-1:0] queue_overflows;
  logic [SPUS-1:0] executed;
  logic [SPUS-1:0] spu_overflows;
  logic [SPUS*PARTIAL-1:0] partials;
  logic merge;
  logic [GROUP-1:0] merge_group;
  generate
    for (genvar q = 0; q < PORTS; q++) begin : g_port
      localparam int LEAF_AXON = 20 - PORT_BITS;
      /* verilator lint_off UNUSEDSIGNAL */ // The splitter has checked that the rest is 0.
      wire [LEAF_AXON-1:0] load_row = load_address[PORT_BITS+:LEAF_AXON];
      /* verilator lint_on UNUSEDSIGNAL */
      wire load_here = PORTS == 1 || 32'(load_address) % PORTS == q;
      logic queue_valid;
      logic [ROW-1:0] queue_row;
      logic queue_take;
      logic queue_quiet;
      axon_queue #(
          .ROWS(PORT_AXONS),
          .DELAY_SLOTS(DELAY_SLOTS),
          .QUEUE(QUEUE)
      ) queue (
          .clk,
          .reset,
          .load_delay(load_write && load_memory == MEMORY_AXON_DELAY && load_here),
          .load_row(load_row[ROW-1:0]),
          .load_data(load_data[SLOT-1:0]),
          .sample_start,
          .step_start,
          .deliver(deliver[q]),
          .deliver_row,
          .merge_slot(merge_step[SLOT-1:0]),
          .valid(queue_valid),
          .row(queue_row),
          .take(queue_take),
          .quiet(queue_quiet),
          .overflow(queue_overflows[q])
      );

      // Two words an axon only where a port has 64 SPUs, and then it is the only port.
      wire load_routing = load_write && load_memory == MEMORY_ROUTING
                        && (ROUTING_WORDS > 1 || load_here);
      logic [ROUTING_WORDS-1:0] load_half;
      if (ROUTING_WORDS == 1) assign load_half = load_routing;
      else assign load_half = load_routing ? (load_address[0] ? 2'b10 : 2'b01) : 2'b00;
      logic [LEAVES-1:0] issue_mask;
      logic [ROW-1:0] issue_row;
      logic [LEAVES-1:0] credit;
      logic injector_quiet;
      injector #(
          .LEAVES(LEAVES),
          .ROWS(PORT_AXONS),
          .FIFO(FIFO)
      ) inject (
          .clk,
          .reset,
          .load_routing(load_half),
          .load_row(ROUTING_WORDS == 1 ? load_row[ROW-1:0] : ROW'(load_address >> 1)),
          .load_data,
          .step_start,
          .push(push[q]),
          .push_axon(push_axon[q]),
          .push_last,
          .push_row(push_row[q*ROW+:ROW]),
          .room(rooms[q]),
          .queue_valid,
          .queue_row,
          .queue_take,
          .issue_mask,
          .issue_row,
          .credit,
          .quiet(injector_quiet)
      );

      logic [LEAVES-1:0] leaf_valid;
      logic [LEAVES*ROW-1:0] leaf_row;
      logic tree_quiet;
      multicast_tree #(
          .LEAVES(LEAVES),
          .ROW(ROW)
      ) tree (
          .clk,
          .reset,
          .mask(issue_mask),
          .row(issue_row),
          .leaf_valid,
          .leaf_row,
          .quiet(tree_quiet)
      );
      assign ports_quiet[q] = queue_quiet && injector_quiet && tree_quiet;

      for (genvar k = 0; k < LEAVES; k++) begin : g_spu
        localparam int P = q * LEAVES + k;
        wire load_this = load_write && load_spu == 8'(P);
        wire load_rows = load_this && load_memory == MEMORY_ROWS;
        spu #(
            .LANES(LANES),
            .WEIGHT_BITS(WEIGHT_BITS),
            .WEIGHTS(WEIGHTS),
            .OPERATIONS(OPERATIONS),
            .ACCUMULATORS(ACCUMULATORS),
            .ROWS(PORT_AXONS),
            .GROUPS(GROUPS),
            .FIFO(FIFO),
            .ACCUMULATOR_BITS(ACCUMULATOR_BITS)
        ) unit (
            .clk,
            .reset,
            .load_row_start(load_rows && !load_address[0]),
            .load_row_rest(load_rows && load_address[0]),
            .load_operation(load_this && load_memory == MEMORY_OPERATIONS),
            .load_weight(load_this && load_memory == MEMORY_WEIGHTS),
            .load_emission(load_this && load_memory == MEMORY_EMISSION),
            .load_address,
            .load_data,
            .arrive(leaf_valid[k]),
            .arrive_row(leaf_row[k*ROW+:ROW]),
            .credit(credit[k]),
            .quiet(spus_quiet[P]),
            .executed(executed[P]),
            .overflow(spu_overflows[P]),
            .bank,
            .merge_start,
            .merge,
            .merge_group,
            .partial(partials[P*PARTIAL+:PARTIAL]),
            .clear_both(clearing),
            .clear_row
        );
      end
    end
  endgenerate

  // ---- merge tree and neuron unit
  logic [2:0] merging;
  always_ff @(posedge clk) merging <= reset ? '0 : {merging[1:0], merge};
  logic sum_valid;
  logic [LANES*SUM_BITS-1:0] sums;
  merge_tree #(
      .SPUS(SPUS),
      .LANES(LANES),
      .WIDTH(ACCUMULATOR_BITS)
  ) merger (
      .clk,
      .reset,
      .valid(merging[2]),
      .partials,
      .sum_valid,
      .sums
  );

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
      .sum_valid,
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
    status <= status | {bad_word, queue_overflows != '0, spu_overflows != '0 || neuron_overflow};
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
