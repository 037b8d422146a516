// The axons that will be due at one port: a ring of `DELAY_SLOTS` machine steps in block RAM, each with room for `QUEUE` axons. The
// delivery unit names an axon's row; its delay is looked up here and says which slot it joins.
module axon_queue #(
    parameter int ROWS = 512,
    parameter int DELAY_SLOTS = 16,
    parameter int QUEUE = 512,
    localparam int ROW = ROWS > 1 ? $clog2(ROWS) : 1,
    localparam int SLOT = $clog2(DELAY_SLOTS),
    localparam int PLACE = QUEUE > 1 ? $clog2(QUEUE) : 1,
    localparam int COUNT = $clog2(QUEUE + 1)
) (
    input  logic            clk,
    input  logic            reset,
    input  logic            load_delay,
    input  logic [ ROW-1:0] load_row,
    input  logic [SLOT-1:0] load_data,
    // Forgets everything.
    input  logic            sample_start,
    // The next slot becomes the one that is read; the one before it is empty from now on.
    input  logic            step_start,
    input  logic            deliver,
    input  logic [ ROW-1:0] deliver_row,
    // Slot of the machine step whose spikes are delivered.
    input  logic [SLOT-1:0] merge_slot,
    // Of the slot that is read, in the order of delivery.
    output logic            valid,
    output logic [ ROW-1:0] row,
    input  logic            take,
    output logic            quiet,
    output logic            overflow
);
  logic [SLOT-1:0] read_slot;
  logic [DELAY_SLOTS-1:0] used;

  // ---- writing: delay look-up, then the place in the slot
  logic arrived;
  logic [ROW-1:0] arrived_row;
  logic [SLOT-1:0] delay;
  ram_sync #(
      .WIDTH(SLOT),
      .DEPTH(ROWS)
  ) delay_memory (
      .clk,
      .write(load_delay),
      .write_address(load_row),
      .write_data(load_data),
      .read(deliver),
      .read_address(deliver_row),
      .read_data(delay)
  );
  always_ff @(posedge clk) begin
    arrived <= deliver && !reset;
    if (deliver) arrived_row <= deliver_row;
  end

  wire [SLOT-1:0] write_slot = merge_slot + delay;
  logic [COUNT-1:0] write_count_memory;
  wire [COUNT-1:0] write_count = used[write_slot] ? write_count_memory : '0;
  wire full = write_count == COUNT'(QUEUE);
  wire write = arrived && !full;
  wire [COUNT-1:0] next_count = write_count + 1'b1;
  assign overflow = arrived && full;
  ram_async #(
      .WIDTH(COUNT),
      .DEPTH(DELAY_SLOTS)
  ) counts_to_write (
      .clk,
      .write,
      .write_address(write_slot),
      .write_data(next_count),
      .read_address(write_slot),
      .read_data(write_count_memory)
  );

  // ---- reading: one entry ahead of the injector
  logic [COUNT-1:0] read_count_memory;
  ram_async #(
      .WIDTH(COUNT),
      .DEPTH(DELAY_SLOTS)
  ) counts_to_read (
      .clk,
      .write,
      .write_address(write_slot),
      .write_data(next_count),
      .read_address(read_slot),
      .read_data(read_count_memory)
  );
  wire [COUNT-1:0] read_count = used[read_slot] ? read_count_memory : '0;
  logic [COUNT-1:0] read_at;
  wire more = read_at != read_count;
  wire fetch = more && (!valid || take);
  ram_sync #(
      .WIDTH(ROW),
      .DEPTH(DELAY_SLOTS << PLACE)
  ) ring (
      .clk,
      .write,
      .write_address({write_slot, write_count[PLACE-1:0]}),
      .write_data(arrived_row),
      .read(fetch),
      .read_address({read_slot, read_at[PLACE-1:0]}),
      .read_data(row)
  );
  assign quiet = !valid && !more;

  always_ff @(posedge clk) begin
    if (fetch) begin
      valid   <= 1'b1;
      read_at <= read_at + 1'b1;
    end else if (take) valid <= 1'b0;
    if (write) used[write_slot] <= 1'b1;
    if (step_start) begin
      used[read_slot] <= 1'b0;
      read_slot <= read_slot + 1'b1;
      read_at <= '0;
    end
    if (sample_start || reset) begin
      used <= '0;
      read_slot <= '0;
      read_at <= '0;
      valid <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!reset) begin
      if (take) assert (valid) else $error("%m: taken while empty");
      if (step_start && !sample_start) assert (quiet && !arrived) else $error("%m: a step ends before its queue is empty");
      cover (overflow);
    end
`endif
endmodule
