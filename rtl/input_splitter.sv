// Takes the input words: `load` sequences go out on the load bus, `begin` starts a sample, and the axons of its machine steps go to
// their ports' queues, up to two in a cycle. A word is taken when every port has room, so that `ready` depends on no data.
module input_splitter #(
    parameter int SPUS = 16,
    parameter int PORTS = 2,
    parameter int LANES = 4,
    parameter int WEIGHTS = 256,
    parameter int OPERATIONS = 4096,
    parameter int AXONS = 2048,
    parameter int NEURONS = 512,
    parameter int CLASSES = 16,
    localparam int PORT_AXONS = AXONS / PORTS,
    localparam int ROW = PORT_AXONS > 1 ? $clog2(PORT_AXONS) : 1,
    localparam int PORT_BITS = $clog2(PORTS),
    localparam int PORT_INDEX = PORTS > 1 ? PORT_BITS : 1
) (
    input  logic                   clk,
    input  logic                   reset,
    // No word is taken before the accumulators are clear.
    input  logic                   cleared,
    input  logic            [31:0] tdata,
    input  logic                   tvalid,
    output logic                   tready,
    // One cycle a data word, its place checked.
    output logic                   load_write,
    output logic            [ 5:0] load_memory,
    output logic            [ 7:0] load_spu,
    output logic            [23:0] load_address,
    output logic            [ 2:0] load_field,
    output logic            [31:0] load_data,
    output logic                   loading,
    input  logic            [13:0] stretch,
    input  logic            [13:0] max_skew,
    input  logic            [20:0] axons,
    // In the cycle in which `begin` is taken.
    output logic                   begin_sample,
    output logic            [13:0] begin_steps,
    output logic            [15:0] begin_tag,
    input  logic                   sample_done,
    // Per port: an entry {has an axon, is the step's last, row} for its queue.
    input  logic                   room,
    output logic [       PORTS-1:0] push,
    output logic [       PORTS-1:0] push_axon,
    output logic                   push_last,
    output logic [   PORTS*ROW-1:0] push_row,
    output logic                   bad_word
);
  `include "generated/stream_words.svh"

  typedef enum logic [2:0] {IDLE, LOAD_ADDRESS, LOAD_COUNT, LOAD_DIVIDE, LOAD_DATA, STEPS, FINISH} state_t;
  state_t state;
  wire idle = state == IDLE;

  // A second axon of the same port waits here for its own cycle.
  logic held;
  logic held_last;
  logic [PORT_INDEX-1:0] held_port;
  logic [ROW-1:0] held_row;

  always_comb
    case (state)
      IDLE: tready = cleared;
      LOAD_DIVIDE, FINISH: tready = 1'b0;
      STEPS: tready = room && !held;
      default: tready = 1'b1;
    endcase

  wire take = tvalid && tready;
  wire [1:0] kind = tdata[31:30];

  // ---- samples
  assign begin_sample = take && idle && kind == INPUT_BEGIN && tdata[13:0] != '0;
  assign begin_steps = tdata[13:0];
  assign begin_tag = tdata[29:14];

  wire take_step = take && state == STEPS && !kind[1];
  wire take_spike = take_step && kind == INPUT_SPIKE;
  wire pair = tdata[BIT_PAIR];
  wire [20:0] axon0 = pair ? {7'd0, tdata[13:0]} : {1'b0, tdata[19:0]};
  wire [20:0] axon1 = {7'd0, tdata[27:14]};
  wire known0 = axon0 < axons;
  wire known1 = axon1 < axons;
  wire has0 = take_spike && known0;
  wire has1 = take_spike && pair && known1;
  wire [PORT_INDEX-1:0] port0 = PORTS > 1 ? axon0[PORT_INDEX-1:0] : '0;
  wire [PORT_INDEX-1:0] port1 = PORTS > 1 ? axon1[PORT_INDEX-1:0] : '0;
  wire [ROW-1:0] row0 = axon0[PORT_BITS+:ROW];
  wire [ROW-1:0] row1 = axon1[PORT_BITS+:ROW];
  wire clash = has0 && has1 && port0 == port1;
  wire last = take_step && (kind == INPUT_STEP_END || tdata[BIT_LAST]);
  wire release_held = held && room;

  assign push_last = release_held ? held_last : last && !clash;
  always_comb
    for (int q = 0; q < PORTS; q++) begin
      push_axon[q] = release_held ? held_port == PORT_INDEX'(q)
                   : (has0 && port0 == PORT_INDEX'(q)) || (has1 && port1 == PORT_INDEX'(q));
      push[q] = push_axon[q] || push_last;
      push_row[q*ROW+:ROW] = release_held ? held_row : has0 && port0 == PORT_INDEX'(q) ? row0 : row1;
    end

  logic [13:0] steps;
  logic final_step;
  step_counter step_count (
      .clk,
      .start(begin_sample),
      .advance(push_last),
      .steps,
      .stretch,
      .max_skew,
      .last(final_step)
  );

  // ---- loads
  // Place in the memory: a word, or of the class memory a class, found by counting its `CLASS_WORDS` off.
  logic [31:0] place;
  logic [31:0] rest;
  logic [31:0] left;
  logic [2:0] field;
  // Words (classes, of the class memory) that the memory has; 0 when there is no such memory.
  logic [31:0] bound;
  wire spu_known = load_memory < MEMORY_ROWS || 32'(load_spu) < SPUS;
  wire classes = load_memory == MEMORY_CLASSES;
  wire fits = spu_known && place < bound;
  assign loading = state == LOAD_ADDRESS || state == LOAD_COUNT || state == LOAD_DIVIDE || state == LOAD_DATA;

  always_ff @(posedge clk) begin
    load_write <= 1'b0;
    bad_word <= 1'b0;
    if (held) begin
      if (room) held <= 1'b0;
    end else if (clash) begin
      held <= 1'b1;
      held_last <= last;
      held_port <= port1;
      held_row <= row1;
    end
    case (state)
      IDLE:
      if (take)
        case (kind)
          INPUT_BEGIN:
          if (tdata[13:0] == '0) bad_word <= 1'b1;
          else begin
            state <= STEPS;
            steps <= tdata[13:0];
          end
          INPUT_LOAD: begin
            state <= LOAD_ADDRESS;
            load_memory <= tdata[29:24];
            load_spu <= tdata[23:16];
          end
          default: bad_word <= 1'b1;
        endcase
      LOAD_ADDRESS:
      if (take) begin
        state <= LOAD_COUNT;
        place <= tdata;
        case (load_memory)
          MEMORY_CONTROL: bound <= CONTROL_WORDS;
          MEMORY_CLASSES: bound <= CLASSES;
          MEMORY_NEURONS, MEMORY_FAN_OUT: bound <= NEURONS;
          MEMORY_AXON_DELAY: bound <= AXONS;
          MEMORY_ROUTING: bound <= AXONS * ((SPUS / PORTS + 31) / 32);
          MEMORY_ROWS: bound <= 2 * PORT_AXONS;
          MEMORY_OPERATIONS: bound <= OPERATIONS;
          MEMORY_WEIGHTS: bound <= WEIGHTS;
          MEMORY_EMISSION: bound <= (NEURONS / LANES + 31) / 32;
          default: bound <= '0;
        endcase
      end
      LOAD_COUNT:
      if (take) begin
        left <= tdata;
        field <= '0;
        rest <= place;
        if (classes) place <= '0;
        state <= tdata == '0 ? IDLE : classes ? LOAD_DIVIDE : LOAD_DATA;
      end
      LOAD_DIVIDE:
      if (rest >= 32'(CLASS_WORDS) && place < 32'(CLASSES)) begin
        rest <= rest - 32'(CLASS_WORDS);
        place <= place + 1'b1;
      end else begin
        field <= rest[2:0];
        state <= LOAD_DATA;
      end
      LOAD_DATA:
      if (take) begin
        load_write <= fits;
        bad_word <= !fits;
        load_address <= place[23:0];
        load_field <= field;
        load_data <= tdata;
        left <= left - 1'b1;
        if (left == 32'd1) state <= IDLE;
        if (classes && field != 3'(CLASS_WORDS - 1)) field <= field + 1'b1;
        else begin
          field <= '0;
          // Stays put beyond the end, so that it cannot come round to the beginning.
          if (fits) place <= place + 1'b1;
        end
      end
      STEPS: begin
        if (take) bad_word <= kind[1] || (kind == INPUT_SPIKE && (!known0 || (pair && !known1)));
        if (push_last && final_step) state <= FINISH;
      end
      default: if (sample_done) state <= IDLE;
    endcase
    if (reset) begin
      state <= IDLE;
      held <= 1'b0;
      load_write <= 1'b0;
      bad_word <= 1'b0;
    end
  end
endmodule
