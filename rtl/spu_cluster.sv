// An issue port and the SPUs behind it: queue, injector, multicast tree, SPUs, and the part of the merge tree that joins them.
module spu_cluster #(
    parameter int PORT = 0,
    parameter int PORTS = 2,
    parameter int LEAVES = 8,
    parameter int LANES = 4,
    parameter int WEIGHT_BITS = 8,
    parameter int WEIGHTS = 256,
    parameter int OPERATIONS = 4096,
    parameter int ACCUMULATORS = 512,
    parameter int AXONS = 2048,
    parameter int GROUPS = 128,
    parameter int FIFO = 16,
    parameter int DELAY_SLOTS = 16,
    parameter int QUEUE = 512,
    parameter int ACCUMULATOR_BITS = 18,
    localparam int LEVELS = $clog2(LEAVES),
    localparam int ROWS = AXONS / PORTS,
    localparam int ROW = ROWS > 1 ? $clog2(ROWS) : 1,
    localparam int SLOT = $clog2(DELAY_SLOTS),
    localparam int GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1,
    localparam int SUM_BITS = ACCUMULATOR_BITS + LEVELS
) (
    input  logic                      clk,
    input  logic                      reset,
    input  logic                      load_write,
    input  logic [               5:0] load_memory,
    input  logic [               7:0] load_spu,
    input  logic [              23:0] load_address,
    input  logic [              31:0] load_data,
    input  logic                      sample_start,
    input  logic                      step_start,
    // Input axons.
    input  logic                      push,
    input  logic                      push_axon,
    input  logic                      push_last,
    input  logic [           ROW-1:0] push_row,
    output logic                      room,
    // Internal spikes.
    input  logic                      deliver,
    input  logic [           ROW-1:0] deliver_row,
    input  logic [          SLOT-1:0] merge_slot,
    output logic                      quiet,
    output logic [        LEAVES-1:0] executed,
    output logic                      queue_overflow,
    output logic                      sum_overflow,
    // The merge; the level of the tree that works in this cycle.
    input  logic                      bank,
    input  logic                      merge_start,
    input  logic                      merge,
    input  logic [         GROUP-1:0] merge_group,
    /* verilator lint_off UNUSEDSIGNAL */ // One SPU needs no tree.
    input  logic [            LEVELS:0] merge_level,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic [LANES*SUM_BITS-1:0] sums,
    input  logic                      clear_both,
    input  logic [              15:0] clear_row
);
  `include "generated/stream_words.svh"

  localparam int PORT_BITS = $clog2(PORTS);
  localparam int ROUTING_WORDS = (LEAVES + 31) / 32;

  // ---- loads: what is for this port, or for any of its SPUs
  wire load_port = load_write && (PORTS == 1 || 32'(load_address) % PORTS == PORT);
  /* verilator lint_off UNUSEDSIGNAL */ // The splitter has checked that the rest is 0.
  wire [23:0] load_port_row = load_address >> PORT_BITS;
  // Two words an axon only where a port has 64 SPUs, and then it is the only port.
  wire [23:0] load_routing_row = ROUTING_WORDS == 1 ? load_port_row : load_address >> 1;
  /* verilator lint_on UNUSEDSIGNAL */
  wire load_routing = (ROUTING_WORDS == 1 ? load_port : load_write) && load_memory == MEMORY_ROUTING;
  wire [ROUTING_WORDS-1:0] load_half;
  generate
    if (ROUTING_WORDS == 1) assign load_half = load_routing;
    else assign load_half = {load_routing && load_address[0], load_routing && !load_address[0]};
  endgenerate
  wire load_row_starts = load_write && load_memory == MEMORY_ROWS && !load_address[0];
  wire load_row_rests = load_write && load_memory == MEMORY_ROWS && load_address[0];
  wire load_operations = load_write && load_memory == MEMORY_OPERATIONS;
  wire load_weights = load_write && load_memory == MEMORY_WEIGHTS;
  wire load_emissions = load_write && load_memory == MEMORY_EMISSION;

  // ---- issue
  logic queue_valid;
  logic [ROW-1:0] queue_row;
  logic queue_take;
  logic queue_quiet;
  axon_queue #(
      .ROWS(ROWS),
      .DELAY_SLOTS(DELAY_SLOTS),
      .QUEUE(QUEUE)
  ) queue (
      .clk,
      .reset,
      .load_delay(load_port && load_memory == MEMORY_AXON_DELAY),
      .load_row(load_port_row[ROW-1:0]),
      .load_data(load_data[SLOT-1:0]),
      .sample_start,
      .step_start,
      .deliver,
      .deliver_row,
      .merge_slot,
      .valid(queue_valid),
      .row(queue_row),
      .take(queue_take),
      .quiet(queue_quiet),
      .overflow(queue_overflow)
  );

  logic [LEAVES-1:0] issue_mask;
  logic [ROW-1:0] issue_row;
  logic [LEAVES-1:0] credit;
  logic injector_quiet;
  injector #(
      .LEAVES(LEAVES),
      .ROWS(ROWS),
      .FIFO(FIFO)
  ) inject (
      .clk,
      .reset,
      .load_routing(load_half),
      .load_row(load_routing_row[ROW-1:0]),
      .load_data,
      .step_start,
      .push,
      .push_axon,
      .push_last,
      .push_row,
      .room,
      .queue_valid,
      .queue_row,
      .queue_take,
      .issue_mask,
      .issue_row,
      .credit,
      .quiet(injector_quiet)
  );

  // ---- multicast tree: level 0 is its root, level LEVELS its leaves
  generate
    for (genvar l = 0; l <= LEVELS; l++) begin : g_level
      wire idle;
      for (genvar n = 0; n < (1 << l); n++) begin : g_node
        localparam int SPAN = LEAVES >> l;
        wire [SPAN-1:0] from_mask;
        wire [ROW-1:0] from_row;
        wire [SPAN-1:0] mask;
        wire [ROW-1:0] row;
        wire idle_to_here;
        if (l == 0) begin : g_root
          assign from_mask = issue_mask;
          assign from_row = issue_row;
        end else begin : g_inner
          assign from_mask = g_level[l-1].g_node[n/2].mask[(n%2)*SPAN+:SPAN];
          assign from_row = g_level[l-1].g_node[n/2].row;
        end
        multicast_node #(
            .LEAVES(SPAN),
            .ROW(ROW)
        ) node (
            .clk,
            .reset,
            .from_mask,
            .from_row,
            .mask,
            .row
        );
        if (n == 0) assign idle_to_here = mask == '0;
        else assign idle_to_here = mask == '0 && g_level[l].g_node[n-1].idle_to_here;
      end
      if (l == 0) assign idle = g_node[0].idle_to_here;
      else assign idle = g_node[(1<<l)-1].idle_to_here && g_level[l-1].idle;
    end
  endgenerate

  // ---- SPUs
  logic [LEAVES-1:0] spus_quiet;
  logic [LEAVES-1:0] overflows;
  generate
    for (genvar k = 0; k < LEAVES; k++) begin : g_spu
      localparam int SPU = PORT * LEAVES + k;
      wire load_this = load_spu == 8'(SPU);
      wire [LANES*ACCUMULATOR_BITS-1:0] partial;
      spu #(
          .LANES(LANES),
          .WEIGHT_BITS(WEIGHT_BITS),
          .WEIGHTS(WEIGHTS),
          .OPERATIONS(OPERATIONS),
          .ACCUMULATORS(ACCUMULATORS),
          .ROWS(ROWS),
          .GROUPS(GROUPS),
          .FIFO(FIFO),
          .ACCUMULATOR_BITS(ACCUMULATOR_BITS)
      ) unit (
          .clk,
          .reset,
          .load_this,
          .load_row_starts,
          .load_row_rests,
          .load_operations,
          .load_weights,
          .load_emissions,
          .load_address,
          .load_data,
          .arrive(g_level[LEVELS].g_node[k].mask[0]),
          .arrive_row(g_level[LEVELS].g_node[k].row),
          .credit(credit[k]),
          .quiet(spus_quiet[k]),
          .executed(executed[k]),
          .overflow(overflows[k]),
          .bank,
          .merge_start,
          .merge,
          .merge_group,
          .partial,
          .clear_both,
          .clear_row
      );
    end
  endgenerate
  assign sum_overflow = overflows != '0;
  assign quiet = queue_quiet && injector_quiet && g_level[LEVELS].idle && spus_quiet == '1;

  // ---- merge tree: level 0 is the SPUs, level LEVELS the port's sums
  generate
    for (genvar l = 0; l <= LEVELS; l++) begin : g_merge
      for (genvar n = 0; n < (LEAVES >> l); n++) begin : g_node
        wire [LANES*(ACCUMULATOR_BITS+l)-1:0] sum;
        if (l == 0) begin : g_leaf
          assign sum = g_spu[n].partial;
        end else begin : g_inner
          merge_node #(
              .LANES(LANES),
              .WIDTH(ACCUMULATOR_BITS + l - 1)
          ) node (
              .clk,
              .valid(merge_level[l-1]),
              .left(g_merge[l-1].g_node[2*n].sum),
              .right(g_merge[l-1].g_node[2*n+1].sum),
              .sum
          );
        end
      end
    end
  endgenerate
  assign sums = g_merge[LEVELS].g_node[0].sum;
endmodule
