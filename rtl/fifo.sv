// First in, first out; the oldest entry shows at `head` in the cycle after its push. Whoever pushes knows that there is room:
// by credits, or by `level`.
module fifo #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 16,
    localparam int ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1,
    localparam int LEVEL = $clog2(DEPTH + 1)
) (
    input  logic             clk,
    input  logic             reset,
    input  logic             push,
    input  logic [WIDTH-1:0] push_data,
    input  logic             pop,
    output logic [WIDTH-1:0] head,
    output logic             empty,
    output logic [LEVEL-1:0] level
);
  logic [ADDRESS-1:0] write_at;
  logic [ADDRESS-1:0] read_at;

  ram_async #(
      .WIDTH(WIDTH),
      .DEPTH(DEPTH)
  ) entries (
      .clk,
      .write(push),
      .write_address(write_at),
      .write_data(push_data),
      .read_address(read_at),
      .read_data(head)
  );

  assign empty = level == '0;

  always_ff @(posedge clk)
    if (reset) begin
      write_at <= '0;
      read_at <= '0;
      level <= '0;
    end else begin
      if (push) write_at <= write_at == ADDRESS'(DEPTH - 1) ? '0 : write_at + 1'b1;
      if (pop) read_at <= read_at == ADDRESS'(DEPTH - 1) ? '0 : read_at + 1'b1;
      if (push != pop) level <= push ? level + 1'b1 : level - 1'b1;
    end

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!reset) begin
      if (push && !pop) assert (level != LEVEL'(DEPTH)) else $error("%m: overflow");
      if (pop) assert (!empty) else $error("%m: underflow");
      cover (level == LEVEL'(DEPTH));
    end
`endif
endmodule
