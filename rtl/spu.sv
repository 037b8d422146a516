// Synapse Processing Unit. Takes axons from its FIFO, looks up their rows, and executes one operation a cycle without a bubble
// between rows: accumulator[base + operation.accumulator] += weights[operation.weight] << shift. Meanwhile the other bank of
// accumulators is merged: read group by group, and cleared.
//
// Cycle of an operation: 0 its address is presented; 1 operation known; 2 weight known, accumulator read; 3 sum formed and written.
// An operation on the pair of accumulators of the operation just before it takes that one's sums instead of what was read.
module spu #(
    parameter int LANES = 4,
    parameter int WEIGHT_BITS = 8,
    parameter int WEIGHTS = 256,
    parameter int OPERATIONS = 4096,
    parameter int ACCUMULATORS = 512,
    parameter int ROWS = 512,
    parameter int GROUPS = 128,
    parameter int FIFO = 16,
    parameter int ACCUMULATOR_BITS = 18,
    localparam int ROW = ROWS > 1 ? $clog2(ROWS) : 1,
    localparam int OPERATION = OPERATIONS > 1 ? $clog2(OPERATIONS) : 1,
    localparam int WEIGHT = $clog2(WEIGHTS),
    localparam int GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1
) (
    input  logic                              clk,
    input  logic                              reset,
    // The load bus: whether it is for this SPU, and for which memory.
    input  logic                              load_this /* verilator public_flat_rw */,
    input  logic                              load_row_starts,
    input  logic                              load_row_rests,
    input  logic                              load_operations,
    input  logic                              load_weights,
    input  logic                              load_emissions,
    /* verilator lint_off UNUSEDSIGNAL */ // The load bus and the rows to clear are as wide as the widest memory.
    input  logic [                      23:0] load_address,
    input  logic [                      31:0] load_data,
    input  logic [                      15:0] clear_row,
    /* verilator lint_on UNUSEDSIGNAL */
    // From the multicast tree.
    input  logic                              arrive  /* verilator public_flat_rw */,
    input  logic [                   ROW-1:0] arrive_row  /* verilator public_flat_rw */,
    output logic                              credit,
    output logic                              quiet,
    // An operation was executed.
    output logic                              executed,
    output logic                              overflow,
    // The merge: starts with the first group whose sums are asked for after `merge_start`.
    input  logic                              bank,
    input  logic                              merge_start,
    input  logic                              merge,
    input  logic [                 GROUP-1:0] merge_group,
    // Three cycles after `merge`.
    output logic [LANES*ACCUMULATOR_BITS-1:0] partial,
    // Clearing of both banks after a reset.
    input  logic                              clear_both
);
  // For simulators: one piece of code for all instances, which stays in the processor's cache. It must not name what differs between them;
  // that is what keeps the three inputs above in their place.
  /* verilator no_inline_module */

  localparam int ACC_ROWS = ACCUMULATORS / LANES;
  localparam int ACC_ROW = ACC_ROWS > 1 ? $clog2(ACC_ROWS) : 1;
  localparam int ADDRESS = ACCUMULATORS > 1 ? $clog2(ACCUMULATORS) : 1;
  localparam int LANE_BITS = $clog2(LANES);
  // Lanes are paired; an address is {row, memory, side of the pair}.
  localparam int SIDES = LANES > 1 ? 2 : 1;
  localparam int SIDE_BITS = SIDES - 1;
  localparam int MEMORIES = LANES / SIDES;
  localparam int MEMORY = MEMORIES > 1 ? $clog2(MEMORIES) : 1;
  localparam int PAIR = SIDES * ACCUMULATOR_BITS;
  localparam int SHIFTED = WEIGHT_BITS + 23;
  localparam int SUM = (SHIFTED > ACCUMULATOR_BITS ? SHIFTED : ACCUMULATOR_BITS) + 1;

  // ---- rows
  logic [ROW-1:0] waiting_row;
  logic empty;
  /* verilator lint_off UNUSEDSIGNAL */ // The injector's credits keep count.
  logic [$clog2(FIFO+1)-1:0] waiting;
  /* verilator lint_on UNUSEDSIGNAL */
  logic row_valid;
  logic [11:0] count_left;
  // The row that is known is started in this cycle.
  wire start = row_valid && count_left == '0;
  wire fetch = !empty && (!row_valid || start);
  fifo #(
      .WIDTH(ROW),
      .DEPTH(FIFO)
  ) axons (
      .clk,
      .reset,
      .push(arrive),
      .push_data(arrive_row),
      .pop(fetch),
      .head(waiting_row),
      .empty,
      .level(waiting)
  );

  logic [OPERATION-1:0] row_start;
  ram_sync #(
      .WIDTH(OPERATION),
      .DEPTH(ROWS)
  ) row_starts (
      .clk,
      .write(load_row_starts && load_this),
      .write_address(load_address[ROW:1]),
      .write_data(load_data[OPERATION-1:0]),
      .read(fetch),
      .read_address(waiting_row),
      .read_data(row_start)
  );
  logic [11:0] row_count;
  logic [ADDRESS-1:0] row_base;
  logic [4:0] row_shift;
  ram_sync #(
      .WIDTH(12 + ADDRESS + 5),
      .DEPTH(ROWS)
  ) row_rests (
      .clk,
      .write(load_row_rests && load_this),
      .write_address(load_address[ROW:1]),
      .write_data({load_data[31:27], load_data[12+:ADDRESS], load_data[11:0]}),
      .read(fetch),
      .read_address(waiting_row),
      .read_data({row_shift, row_base, row_count})
  );

  // ---- cycle 0: address of the operation
  logic [OPERATION-1:0] next_operation;
  logic [ADDRESS-1:0] base;
  logic [4:0] shift;
  wire busy = count_left != '0;
  wire execute = busy || (start && row_count != '0);
  wire [OPERATION-1:0] operation_address = busy ? next_operation : row_start;
  always_ff @(posedge clk) begin
    if (fetch) row_valid <= 1'b1;
    else if (start) row_valid <= 1'b0;
    if (start) begin
      count_left <= row_count == '0 ? '0 : row_count - 1'b1;
      base <= row_base;
      shift <= row_shift;
    end else if (busy) count_left <= count_left - 1'b1;
    if (execute) next_operation <= operation_address + 1'b1;
    credit <= start && !reset;
    if (reset) begin
      row_valid <= 1'b0;
      count_left <= '0;
    end
  end

  logic [ADDRESS-1:0] operation_accumulator;
  logic [WEIGHT-1:0] operation_weight;
  ram_sync #(
      .WIDTH(WEIGHT + ADDRESS),
      .DEPTH(OPERATIONS)
  ) operation_memory (
      .clk,
      .write(load_operations && load_this),
      .write_address(load_address[OPERATION-1:0]),
      .write_data({load_data[16+:WEIGHT], load_data[ADDRESS-1:0]}),
      .read(execute),
      .read_address(operation_address),
      .read_data({operation_weight, operation_accumulator})
  );

  // ---- cycle 1: weight and accumulator addresses
  logic [3:1] slot;
  logic [3:1] valid;
  logic [ADDRESS-1:0] address2;
  logic [ADDRESS-1:0] address3;
  logic [4:0] shift2;
  logic [WEIGHT_BITS-1:0] weight2;
  ram_sync #(
      .WIDTH(WEIGHT_BITS),
      .DEPTH(WEIGHTS),
      .STYLE("distributed")
  ) weight_memory (
      .clk,
      .write(load_weights && load_this),
      .write_address(load_address[WEIGHT-1:0]),
      .write_data(load_data[WEIGHT_BITS-1:0]),
      .read(valid[1]),
      .read_address(operation_weight),
      .read_data(weight2)
  );

  // ---- cycle 2: shifted weight; the accumulator is read, and its neighbour with it. Cycle 3: the sum.
  logic signed [SHIFTED-1:0] addend3;
  logic [PAIR-1:0] read3;
  logic forward3;
  logic [PAIR-1:0] pair4;
  wire [PAIR-1:0] pair3 = forward3 ? pair4 : read3;
  wire upper3 = SIDES > 1 && address3[0];
  wire [ACCUMULATOR_BITS-1:0] before3 = upper3 ? pair3[PAIR-1-:ACCUMULATOR_BITS] : pair3[0+:ACCUMULATOR_BITS];
  wire signed [SUM-1:0] sum3 = SUM'(signed'(before3)) + SUM'(addend3);
  wire [SUM-1:ACCUMULATOR_BITS-1] sign3 = sum3[SUM-1:ACCUMULATOR_BITS-1];
  wire [PAIR-1:0] after3;
  generate
    if (SIDES == 1) assign after3 = sum3[ACCUMULATOR_BITS-1:0];
    else
      assign after3 = upper3 ? {sum3[ACCUMULATOR_BITS-1:0], pair3[0+:ACCUMULATOR_BITS]}
                             : {pair3[PAIR-1-:ACCUMULATOR_BITS], sum3[ACCUMULATOR_BITS-1:0]};
  endgenerate

  always_ff @(posedge clk) begin
    slot <= {slot[2:1], busy || start};
    valid <= {valid[2:1], execute};
    address2 <= operation_accumulator + base;
    shift2 <= shift;
    address3 <= address2;
    addend3 <= SHIFTED'(signed'(weight2)) <<< shift2;
    forward3 <= valid[3] && (address3 >> SIDE_BITS) == (address2 >> SIDE_BITS);
    pair4 <= after3;
    overflow <= valid[3] && sign3 != '0 && sign3 != '1;
    if (reset) begin
      slot <= '0;
      valid <= '0;
      overflow <= 1'b0;
    end
  end
  assign executed = valid[3];
  assign quiet = empty && !row_valid && !busy && slot == '0;

  // ---- merge: cycle 0 group; 1 its emission bit known, sums read; 2 sums known, masked, and cleared behind
  localparam int EMISSION_ADDRESS = GROUP > 5 ? GROUP - 5 : 1;
  logic [31:0] emission;
  logic [1:0] merging;
  logic [4:0] merge_bit;
  logic [ACC_ROW-1:0] merge_row;
  logic emitted2;
  logic [ACC_ROW-1:0] clear_row2;
  wire emit1 = merging[0] && emission[merge_bit];
  ram_sync #(
      .WIDTH(32),
      .DEPTH((GROUPS + 31) / 32),
      .STYLE("distributed")
  ) emission_memory (
      .clk,
      .write(load_emissions && load_this),
      .write_address(load_address[EMISSION_ADDRESS-1:0]),
      .write_data(load_data),
      .read(merge),
      .read_address(EMISSION_ADDRESS'(merge_group >> 5)),
      .read_data(emission)
  );
  always_ff @(posedge clk) begin
    merging <= {merging[0], merge};
    if (merge) merge_bit <= 5'(merge_group);
    if (merge_start) merge_row <= '0;
    else if (emit1) merge_row <= merge_row + 1'b1;
    emitted2 <= emit1;
    clear_row2 <= merge_row;
    if (reset) begin
      merging  <= '0;
      emitted2 <= 1'b0;
    end
  end

  accumulators #(
      .LANES(LANES),
      .ROWS(ACC_ROWS),
      .WIDTH(ACCUMULATOR_BITS)
  ) sums (
      .clk,
      .bank,
      .read(valid[2]),
      .read_row(ACC_ROW'(address2 >> LANE_BITS)),
      .read_memory(MEMORY'((address2 >> SIDE_BITS) & ADDRESS'(MEMORIES - 1))),
      .read_pair(read3),
      .write(valid[3]),
      .write_row(ACC_ROW'(address3 >> LANE_BITS)),
      .write_memory(MEMORY'((address3 >> SIDE_BITS) & ADDRESS'(MEMORIES - 1))),
      .write_pair(after3),
      .merge_read(emit1),
      .merge_row,
      .put_out(merging[1]),
      .put_out_sums(emitted2),
      .partial,
      .clear(emitted2),
      .clear_row(clear_both ? ACC_ROW'(clear_row) : clear_row2),
      .clear_both
  );

`ifndef SYNTHESIS
  logic bank_before;
  always_ff @(posedge clk) begin
    bank_before <= bank;
    if (!reset) begin
      if (bank != bank_before) assert (slot == '0 && merging == '0 && !emitted2) else $error("%m: banks swapped while one is in use");
      if (execute) assert (32'(operation_address) < OPERATIONS) else $error("%m: operation beyond the memory");
      if (valid[2]) assert (32'(address2) < ACCUMULATORS) else $error("%m: accumulator beyond the memory");
      if (emit1) assert (32'(merge_row) < ACC_ROWS) else $error("%m: merged beyond the accumulators");
      cover (valid[3] && forward3);
      cover (start && row_count == 12'd1);
      cover (overflow);
    end
  end
`endif
endmodule
