// Issues a port's axons, one a cycle: in every machine step the inputs first, then the internal spikes. An axon waits until every
// SPU that its routing word names has a free place (credits), then goes to the root of the multicast tree.
module injector #(
    parameter int LEAVES = 8,
    parameter int ROWS = 512,
    parameter int FIFO = 16,
    parameter int INPUT_FIFO = 64,
    localparam int ROW = ROWS > 1 ? $clog2(ROWS) : 1,
    localparam int HALVES = (LEAVES + 31) / 32,
    localparam int CREDIT = $clog2(FIFO + 1)
) (
    input  logic              clk,
    input  logic              reset,
    input  logic [HALVES-1:0] load_routing,
    input  logic [   ROW-1:0] load_row,
    /* verilator lint_off UNUSEDSIGNAL */ // A load word, whatever the number of leaves.
    input  logic [      31:0] load_data,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic              step_start,
    // Input axons.
    input  logic              push,
    input  logic              push_axon,
    input  logic              push_last,
    input  logic [   ROW-1:0] push_row,
    output logic              room,
    // Internal spikes.
    input  logic              queue_valid,
    input  logic [   ROW-1:0] queue_row,
    output logic              queue_take,
    // To the tree; the mask is 0 when nothing is issued.
    output logic [LEAVES-1:0] issue_mask,
    output logic [   ROW-1:0] issue_row,
    // Places that became free.
    input  logic [LEAVES-1:0] credit,
    output logic              quiet
);
  localparam int LEVEL = $clog2(INPUT_FIFO + 1);
  logic [ROW+1:0] head;
  logic empty;
  logic [LEVEL-1:0] level;
  wire head_axon = head[ROW+1];
  wire head_last = head[ROW];

  // Inputs of this machine step may still come.
  logic inputs;
  // An axon whose routing word is there.
  logic valid;
  logic [ROW-1:0] row;
  logic [LEAVES-1:0] mask;
  logic [LEAVES-1:0] without_credit;
  wire issue = valid && (mask & without_credit) == '0;
  wire free = !valid || issue;
  wire pop = inputs && free && !empty;
  assign queue_take = !inputs && free && queue_valid;
  wire read = (pop && head_axon) || queue_take;
  wire [ROW-1:0] read_row = inputs ? head[ROW-1:0] : queue_row;

  assign room = level != LEVEL'(INPUT_FIFO);
  fifo #(
      .WIDTH(ROW + 2),
      .DEPTH(INPUT_FIFO)
  ) input_fifo (
      .clk,
      .reset,
      .push,
      .push_data({push_axon, push_last, push_row}),
      .pop,
      .head,
      .empty,
      .level
  );

  generate
    for (genvar h = 0; h < HALVES; h++) begin : g_routing
      localparam int WIDTH = LEAVES - 32 * h < 32 ? LEAVES - 32 * h : 32;
      ram_sync #(
          .WIDTH(WIDTH),
          .DEPTH(ROWS)
      ) routing_memory (
          .clk,
          .write(load_routing[h]),
          .write_address(load_row),
          .write_data(load_data[WIDTH-1:0]),
          .read,
          .read_address(read_row),
          .read_data(mask[32*h+:WIDTH])
      );
    end

    for (genvar p = 0; p < LEAVES; p++) begin : g_credit
      logic [CREDIT-1:0] credits;
      wire spend = issue && mask[p];
      assign without_credit[p] = credits == '0;
      always_ff @(posedge clk)
        if (reset) credits <= CREDIT'(FIFO);
        else if (credit[p] != spend) credits <= spend ? credits - 1'b1 : credits + 1'b1;
`ifndef SYNTHESIS
      always_ff @(posedge clk)
        if (!reset) begin
          if (credit[p] && !spend) assert (credits != CREDIT'(FIFO)) else $error("%m: more credits than places");
          if (spend) assert (credits != '0) else $error("%m: issued without credit");
          cover (valid && mask[p] && without_credit[p]);
        end
`endif
    end
  endgenerate

  assign issue_mask = issue ? mask : '0;
  assign issue_row = row;
  assign quiet = !inputs && !valid;

  always_ff @(posedge clk) begin
    if (free) valid <= read;
    if (read) row <= read_row;
    if (pop && head_last) inputs <= 1'b0;
    if (step_start) inputs <= 1'b1;
    if (reset) begin
      valid  <= 1'b0;
      inputs <= 1'b0;
    end
  end
endmodule
