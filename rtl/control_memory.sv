// The control memory (MEMORY.control of host/snn/machine/stream.ts) as registers. Like all memories it outlives a reset.
module control_memory (
    input  logic        clk,
    input  logic        write,
    input  logic [ 2:0] address,
    /* verilator lint_off UNUSEDSIGNAL */ // A load word; no control word needs all of it.
    input  logic [31:0] data,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic [13:0] stretch,
    output logic [13:0] max_skew,
    output logic [16:0] groups,
    output logic [15:0] read_first,
    output logic [16:0] read_count,
    output logic        read_every_step,
    output logic [20:0] axons
);
  initial begin
    stretch = 14'd1;
    max_skew = '0;
    groups = '0;
    read_first = '0;
    read_count = '0;
    read_every_step = 1'b0;
    axons = '0;
  end

  always_ff @(posedge clk)
    if (write)
      case (address)
        3'd0: stretch <= data[13:0];
        3'd1: max_skew <= data[13:0];
        3'd2: groups <= data[16:0];
        3'd3: read_first <= data[15:0];
        3'd4: read_count <= data[16:0];
        3'd5: read_every_step <= data[0];
        default: axons <= data[20:0];
      endcase
endmodule
