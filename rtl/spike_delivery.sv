// Takes spikes neuron by neuron, ascending: a recorded one goes to the output, and its axons go to the ports' queues, a row (one axon at
// each port) a cycle. Groups with spikes wait in a FIFO; the neuron unit starts no group that might not find room in it.
module spike_delivery #(
    parameter int PORTS = 2,
    parameter int LANES = 4,
    parameter int NEURONS = 512,
    parameter int AXONS = 2048,
    // Groups that can be under way in the neuron unit when the FIFO is looked at.
    parameter int UNDER_WAY = 12,
    parameter int SPIKE_FIFO = 64,
    localparam int GROUPS = NEURONS / LANES,
    localparam int GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1,
    localparam int LANE_BITS = $clog2(LANES),
    localparam int NEURON = NEURONS > 1 ? $clog2(NEURONS) : 1,
    localparam int PORT_AXONS = AXONS / PORTS,
    localparam int ROW = PORT_AXONS > 1 ? $clog2(PORT_AXONS) : 1,
    localparam int PORT_BITS = $clog2(PORTS)
) (
    input  logic             clk,
    input  logic             reset,
    input  logic             load_fan_out,
    /* verilator lint_off UNUSEDSIGNAL */ // The load bus is as wide as the widest memory.
    input  logic [     23:0] load_address,
    input  logic [     31:0] load_data,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic             spikes,
    input  logic [GROUP-1:0] spike_group,
    input  logic [LANES-1:0] spike_fired,
    input  logic [LANES-1:0] spike_recorded,
    output logic             room,
    // To the output, taken when `output_room`.
    output logic             output_valid,
    output logic [     15:0] output_neuron,
    input  logic             output_room,
    // To the queues.
    output logic [PORTS-1:0] deliver,
    output logic [  ROW-1:0] deliver_row,
    // A neuron's spike is dealt with.
    output logic             spike_done,
    output logic             quiet
);
  localparam int ENTRY = GROUP + 2 * LANES;
  localparam int LEVEL = $clog2(SPIKE_FIFO + 1);
  localparam int FIRST = ROW + PORT_BITS;

  // ---- one spike after the other from the oldest group
  logic [ENTRY-1:0] head;
  logic empty;
  logic [LEVEL-1:0] level;
  logic [LANES-1:0] gone;
  wire [GROUP-1:0] group = head[2*LANES+:GROUP];
  wire [LANES-1:0] fired = head[LANES+:LANES] & ~gone;
  wire [LANES-1:0] recorded = head[0+:LANES];
  wire [LANES-1:0] lowest = fired & (~fired + 1'b1);
  wire is_last = (fired & ~lowest) == '0;
  wire next;
  wire fetch = !empty && next;
  fifo #(
      .WIDTH(ENTRY),
      .DEPTH(SPIKE_FIFO)
  ) groups_waiting (
      .clk,
      .reset,
      .push(spikes),
      .push_data({spike_group, spike_fired, spike_recorded}),
      .pop(fetch && is_last),
      .head,
      .empty,
      .level
  );
  assign room = level <= LEVEL'(SPIKE_FIFO - 1 - UNDER_WAY);
  always_ff @(posedge clk)
    if (reset || (fetch && is_last)) gone <= '0;
    else if (fetch) gone <= gone | lowest;

  logic [NEURON-1:0] neuron;
  always_comb begin
    neuron = NEURON'(group) << LANE_BITS;
    for (int k = 0; k < LANES; k++) if (lowest[k]) neuron = neuron | NEURON'(k);
  end

  // ---- its fan-out, row by row
  logic valid;
  logic begun;
  logic is_recorded;
  logic [NEURON-1:0] spiking;
  logic [ROW-1:0] row_at;
  logic [FIRST-1:0] first;
  logic [11:0] count;
  ram_sync #(
      .WIDTH(FIRST + 12),
      .DEPTH(NEURONS)
  ) fan_out_memory (
      .clk,
      .write(load_fan_out),
      .write_address(load_address[NEURON-1:0]),
      .write_data({load_data[12+:FIRST], load_data[11:0]}),
      .read(fetch),
      .read_address(neuron),
      .read_data({first, count})
  );
  localparam int END = (FIRST > 12 ? FIRST : 12) + 1;
  wire [END-1:0] last = END'(first) + END'(count) - 1'b1;
  wire [ROW-1:0] first_row = first[PORT_BITS+:ROW];
  wire [ROW-1:0] last_row = last[PORT_BITS+:ROW];
  wire signed [31:0] first_port = 32'(first) % PORTS;
  wire signed [31:0] last_port = 32'(last) % PORTS;
  wire [ROW-1:0] row = begun ? row_at : first_row;
  wire no_axon = count == '0;
  wire blocked = is_recorded && !begun && !output_room;
  wire finished = valid && !blocked && (no_axon || row == last_row);
  assign next = !valid || finished;
  assign output_valid = valid && !begun && is_recorded && output_room;
  assign output_neuron = 16'(spiking);
  assign spike_done = finished;

  logic sending;
  always_ff @(posedge clk) begin
    if (next) valid <= fetch;
    if (fetch) begin
      spiking <= neuron;
      is_recorded <= (lowest & recorded) != '0;
    end
    begun <= valid && !blocked && !finished;
    if (valid) row_at <= blocked ? row : row + 1'b1;
    sending <= valid && !blocked;
    deliver_row <= row;
    for (int q = 0; q < PORTS; q++)
      deliver[q] <= valid && !blocked && !no_axon && !reset
                 && (row != first_row || q >= first_port) && (row != last_row || q <= last_port);
    if (reset) begin
      valid   <= 1'b0;
      begun   <= 1'b0;
      sending <= 1'b0;
    end
  end

  // The queues write a cycle after they are told.
  logic sent;
  always_ff @(posedge clk) sent <= sending && !reset;
  assign quiet = empty && !valid && !sending && !sent;

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!reset) begin
      if (valid && !no_axon) assert (32'(last) < AXONS) else $error("%m: fan-out beyond the axons");
      cover (blocked);
      cover (valid && begun);
      cover (!room);
    end
`endif
endmodule
