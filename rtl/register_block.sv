// The AXI-Lite port: what the machine is, how it is, and how it is reset. Addresses and bits: generated/register_map.svh.
module register_block #(
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
    /* verilator lint_off UNUSEDSIGNAL */ // Words alone are addressed.
    input  logic [15:0] s_axil_awaddr,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic        s_axil_awvalid,
    output logic        s_axil_awready,
    input  logic [31:0] s_axil_wdata,
    input  logic [ 3:0] s_axil_wstrb,
    input  logic        s_axil_wvalid,
    output logic        s_axil_wready,
    output logic [ 1:0] s_axil_bresp,
    output logic        s_axil_bvalid,
    input  logic        s_axil_bready,
    /* verilator lint_off UNUSEDSIGNAL */ // Words alone are addressed.
    input  logic [15:0] s_axil_araddr,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic        s_axil_arvalid,
    output logic        s_axil_arready,
    output logic [31:0] s_axil_rdata,
    output logic [ 1:0] s_axil_rresp,
    output logic        s_axil_rvalid,
    input  logic        s_axil_rready,
    // rst_n, or a soft reset.
    output logic        reset,
    input  logic        running,
    input  logic        loading,
    input  logic        output_waiting,
    input  logic        word_in,
    input  logic        word_out,
    input  logic        sample_done,
    input  logic [ 2:0] sample_status
);
  `include "generated/register_map.svh"

  logic soft_reset;
  assign reset = !rst_n || soft_reset;

  // A write is done when address and data are both there, a read at once; one of each at a time.
  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  assign s_axil_awready = write;
  assign s_axil_wready = write;
  assign s_axil_bresp = 2'b00;
  wire read = s_axil_arvalid && !s_axil_rvalid;
  assign s_axil_arready = read;
  assign s_axil_rresp = 2'b00;

  wire [15:0] write_address = {s_axil_awaddr[15:2], 2'b00};
  wire [15:0] read_address = {s_axil_araddr[15:2], 2'b00};
  wire [31:0] write_mask = {{8{s_axil_wstrb[3]}}, {8{s_axil_wstrb[2]}}, {8{s_axil_wstrb[1]}}, {8{s_axil_wstrb[0]}}};
  wire [31:0] written = s_axil_wdata & write_mask;

  logic [2:0] errors;
  logic [31:0] session;
  logic [31:0] program_sum;
  logic [31:0] words_in;
  logic [31:0] words_out;
  logic [31:0] samples;
  logic [63:0] cycles;
  logic [31:0] cycles_high;

  always_ff @(posedge clk) begin
    soft_reset <= 1'b0;
    cycles <= cycles + 1'b1;
    words_in <= words_in + 32'(word_in);
    words_out <= words_out + 32'(word_out);
    samples <= samples + 32'(sample_done);
    if (sample_done) errors <= errors | sample_status;

    if (s_axil_bready) s_axil_bvalid <= 1'b0;
    if (write) begin
      s_axil_bvalid <= 1'b1;
      case (write_address)
        REG_CONTROL: soft_reset <= written[BIT_CONTROL_SOFT_RESET];
        REG_ERRORS: errors <= (errors & ~written[2:0]) | (sample_done ? sample_status : '0);
        REG_SESSION: session <= (session & ~write_mask) | written;
        REG_PROGRAM: program_sum <= (program_sum & ~write_mask) | written;
        default: ;
      endcase
    end

    if (s_axil_rready) s_axil_rvalid <= 1'b0;
    if (read) begin
      s_axil_rvalid <= 1'b1;
      case (read_address)
        REG_IDENTIFICATION: s_axil_rdata <= VALUE_IDENTIFICATION;
        REG_RTL_VERSION: s_axil_rdata <= VALUE_RTL_VERSION;
        REG_STREAM_VERSION: s_axil_rdata <= VALUE_STREAM_VERSION;
        REG_STATUS:
        s_axil_rdata <= (32'(running) << BIT_STATUS_RUNNING) | (32'(loading) << BIT_STATUS_LOADING)
              | (32'(output_waiting) << BIT_STATUS_OUTPUT_WAITING);
        REG_ERRORS: s_axil_rdata <= 32'(errors);
        REG_SESSION: s_axil_rdata <= session;
        REG_PROGRAM: s_axil_rdata <= program_sum;
        REG_WORDS_IN: s_axil_rdata <= words_in;
        REG_WORDS_OUT: s_axil_rdata <= words_out;
        REG_SAMPLES: s_axil_rdata <= samples;
        REG_CYCLES_LOW: s_axil_rdata <= cycles[31:0];
        REG_CYCLES_HIGH: s_axil_rdata <= cycles_high;
        REG_SPUS: s_axil_rdata <= SPUS;
        REG_PORTS: s_axil_rdata <= PORTS;
        REG_LANES: s_axil_rdata <= LANES;
        REG_WEIGHT_BITS: s_axil_rdata <= WEIGHT_BITS;
        REG_WEIGHTS: s_axil_rdata <= WEIGHTS;
        REG_OPERATIONS: s_axil_rdata <= OPERATIONS;
        REG_ACCUMULATORS: s_axil_rdata <= ACCUMULATORS;
        REG_AXONS: s_axil_rdata <= AXONS;
        REG_NEURONS: s_axil_rdata <= NEURONS;
        REG_CLASSES: s_axil_rdata <= CLASSES;
        REG_FIFO: s_axil_rdata <= FIFO;
        REG_DELAY_SLOTS: s_axil_rdata <= DELAY_SLOTS;
        REG_QUEUE: s_axil_rdata <= QUEUE;
        REG_ACCUMULATOR_BITS: s_axil_rdata <= ACCUMULATOR_BITS;
        REG_POTENTIAL_BITS: s_axil_rdata <= POTENTIAL_BITS;
        default: s_axil_rdata <= '0;
      endcase
      if (read_address == REG_CYCLES_LOW) cycles_high <= cycles[63:32];
    end

    if (reset) begin
      errors <= '0;
      session <= '0;
      program_sum <= '0;
      words_in <= '0;
      words_out <= '0;
      samples <= '0;
      cycles <= '0;
      cycles_high <= '0;
    end
    // A soft reset leaves the transfer that asked for it alone.
    if (!rst_n) begin
      soft_reset <= 1'b0;
      s_axil_bvalid <= 1'b0;
      s_axil_rvalid <= 1'b0;
    end
  end
endmodule
