// The Verilated machine behind a pipe: 32-bit input words on stdin until its end, output words on stdout until that many `end` words
// were seen or nothing has moved for long. Options:
//   --ends N           `end` words to wait for, default 1
//   --stall-in P       leave an input word unoffered in P of 256 cycles; --stall-out P: do not take an output word
//   --seed S           of those choices and of the state before reset
//   --soft-reset-at N  after N input words were taken, reset over AXI-Lite and forget what was put out; the rest follows
//   --registers        print all registers that hold something as "address value" lines to stderr at the end
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "Vtutti_machine.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

namespace {

Vtutti_machine *machine;
uint64_t cycles = 0;

void rise() {
  machine->clk = 1;
  machine->eval();
  machine->clk = 0;
  machine->eval();
  cycles++;
}

void writeRegister(uint16_t address, uint32_t value) {
  machine->s_axil_awaddr = address;
  machine->s_axil_wdata = value;
  machine->s_axil_wstrb = 15;
  machine->s_axil_awvalid = machine->s_axil_wvalid = 1;
  machine->s_axil_bready = 1;
  machine->eval();
  while (!machine->s_axil_awready) rise();
  rise();
  machine->s_axil_awvalid = machine->s_axil_wvalid = 0;
  machine->eval();
  while (!machine->s_axil_bvalid) rise();
  rise();
}

uint32_t readRegister(uint16_t address) {
  machine->s_axil_araddr = address;
  machine->s_axil_arvalid = machine->s_axil_rready = 1;
  machine->eval();
  while (!machine->s_axil_arready) rise();
  rise();
  machine->s_axil_arvalid = 0;
  machine->eval();
  while (!machine->s_axil_rvalid) rise();
  const uint32_t value = machine->s_axil_rdata;
  rise();
  return value;
}

uint64_t random_state;
uint32_t random8() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return static_cast<uint32_t>(random_state >> 32) & 255;
}

}  // namespace

int main(int argc, char **argv) {
  uint64_t ends = 1, stallIn = 0, stallOut = 0, seed = 1, resetAt = ~0ull;
  bool registers = false;
  for (int i = 1; i < argc; i++) {
    const auto number = [&] { return i + 1 < argc ? strtoull(argv[++i], nullptr, 0) : 0; };
    if (!strcmp(argv[i], "--ends")) ends = number();
    else if (!strcmp(argv[i], "--stall-in")) stallIn = number();
    else if (!strcmp(argv[i], "--stall-out")) stallOut = number();
    else if (!strcmp(argv[i], "--seed")) seed = number();
    else if (!strcmp(argv[i], "--soft-reset-at")) resetAt = number();
    else if (!strcmp(argv[i], "--registers")) registers = true;
  }
  std::vector<uint32_t> input;
  uint32_t chunk[4096];
  for (size_t got; (got = fread(chunk, 4, 4096, stdin)) > 0;) input.insert(input.end(), chunk, chunk + got);

  VerilatedContext context;
  context.randReset(2);
  context.randSeed(static_cast<int>(seed));
  machine = new Vtutti_machine(&context);
  random_state = seed * 0x9e3779b97f4a7c15ull + 1;
  machine->s_axil_awvalid = machine->s_axil_wvalid = machine->s_axil_arvalid = 0;
  machine->s_axis_tvalid = machine->m_axis_tready = 0;
  machine->rst_n = 0;
  for (int i = 0; i < 4; i++) rise();
  machine->rst_n = 1;

  std::vector<uint32_t> output;
  size_t at = 0;
  uint64_t seen = 0, idle = 0;
  bool offered = false;
  const clock_t from = clock();
  const uint64_t cyclesFrom = cycles;
  while (seen < ends && idle < 4000000) {
    if (at == resetAt) {
      resetAt = ~0ull;
      machine->s_axis_tvalid = machine->m_axis_tready = 0;
      offered = false;
      writeRegister(0x0c, 1);
      output.clear();
      seen = 0;
    }
    // An offered word stays offered until it is taken, as AXI-Stream demands.
    if (!offered) offered = at < input.size() && (stallIn == 0 || random8() >= stallIn);
    machine->s_axis_tvalid = offered;
    machine->s_axis_tdata = offered ? input[at] : 0xdeadbeef;
    machine->m_axis_tready = stallOut == 0 || random8() >= stallOut;
    machine->eval();
    idle++;
    if (machine->s_axis_tvalid && machine->s_axis_tready) {
      at++;
      offered = false;
      idle = 0;
    }
    if (machine->m_axis_tvalid && machine->m_axis_tready) {
      output.push_back(machine->m_axis_tdata);
      seen += machine->m_axis_tlast;
      idle = 0;
    }
    rise();
  }
  const double seconds = static_cast<double>(clock() - from) / CLOCKS_PER_SEC;
  fprintf(stderr, "cycles %llu seconds %.4f\n", static_cast<unsigned long long>(cycles - cyclesFrom), seconds);
  machine->s_axis_tvalid = machine->m_axis_tready = 0;
  if (registers)
    for (int address = 0; address < 0x200; address += 4) {
      const uint32_t value = readRegister(static_cast<uint16_t>(address));
      if (value != 0) fprintf(stderr, "register %x %x\n", address, value);
    }
  fwrite(output.data(), 4, output.size(), stdout);
#if VM_COVERAGE
  if (const char *path = getenv("TUTTI_COVERAGE")) context.coveragep()->write(path);
#endif
  machine->final();
  delete machine;
  return seen < ends ? 3 : 0;
}
