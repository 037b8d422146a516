// The Verilated machine with a host around it: words offered to and taken from its streams, register accesses, a clock. The native
// simulator (main.cpp) and the Wasm twin (../twin/twin.cpp) are both made of this, so they do the same cycle for cycle.
#pragma once

#include <cstddef>
#include <cstdint>

#include "Vtutti_machine.h"
#include "verilated.h"

namespace tutti {

/// Why `Machine::run` returned.
enum class Stop : uint32_t {
  /// All cycles were run.
  Cycles = 0,
  /// There is no room for the next output word. Time stands still meanwhile: the machine sees a host that always takes.
  Full = 1,
  /// No input word is left and the machine has nothing to do: more cycles would change nothing.
  Idle = 2,
};

/// Of 256 cycles, in how many no input word is offered, and no output word taken.
struct Stalls {
  uint32_t in = 0;
  uint32_t out = 0;
  uint64_t seed = 1;
};

class Machine {
 public:
  /// Words to be offered, in order: [in, inEnd). `in` moves on as they are taken.
  const uint32_t *in = nullptr;
  const uint32_t *inEnd = nullptr;
  /// Room for output words: [out, outEnd). `out` moves on as they come.
  uint32_t *out = nullptr;
  uint32_t *outEnd = nullptr;
  /// Since construction.
  uint64_t cycles = 0;
  Stalls stalls;
  /// Called after every half cycle of a trace; the argument is its number.
  void (*onHalfCycle)(uint64_t) = nullptr;

  explicit Machine(VerilatedContext *context) : top_(context) { reset(); }
  ~Machine() { top_.final(); }

  Vtutti_machine &top() { return top_; }

  /// As after power-up, but for the memories. Words that were offered are not taken back.
  void reset() {
    top_.rst_n = 0;
    top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_arvalid = 0;
    top_.s_axil_bready = top_.s_axil_rready = 0;
    top_.s_axis_tvalid = top_.m_axis_tready = top_.s_axis_tlast = 0;
    offered_ = false;
    access_ = Access::None;
    for (int i = 0; i < 4; i++) {
      fall();
      rise();
    }
    top_.rst_n = 1;
    still_ = 0;
    random_ = stalls.seed * 0x9e3779b97f4a7c15ull + 1;
  }

  /// Runs at most `most` cycles.
  Stop run(uint64_t most) {
    for (uint64_t left = most; left > 0; left--) {
      if (out == outEnd) return Stop::Full;
      // Looks now and then whether there is anything left to wait for.
      if (in == inEnd && (++still_ & 127) == 0 && quiet()) return Stop::Idle;
      cycle();
    }
    return Stop::Cycles;
  }

  /// Words go on moving meanwhile.
  uint32_t read(uint32_t address) {
    top_.s_axil_araddr = static_cast<uint16_t>(address);
    top_.s_axil_arvalid = top_.s_axil_rready = 1;
    access_ = Access::Open;
    while (access_ == Access::Open) cycle();
    return value_;
  }

  void write(uint32_t address, uint32_t value) {
    still_ = 0;
    top_.s_axil_awaddr = static_cast<uint16_t>(address);
    top_.s_axil_wdata = value;
    top_.s_axil_wstrb = 15;
    top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = 1;
    access_ = Access::Open;
    while (access_ == Access::Open) cycle();
  }

 private:
  static constexpr uint32_t kStatusRegister = 0x10;
  static constexpr uint32_t kRunning = 1, kOutputWaiting = 4;

  enum class Access { None, Open };

  Vtutti_machine top_;
  Access access_ = Access::None;
  uint32_t value_ = 0;
  bool offered_ = false;
  uint64_t random_ = 1;
  /// Cycles without an input word to offer since the last word moved.
  uint64_t still_ = 0;

  uint32_t random8() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return static_cast<uint32_t>(random_ >> 32) & 255;
  }

  void cycle() {
    // AXI-Stream: a word that was offered stays offered until it is taken.
    if (!offered_) offered_ = in != inEnd && (stalls.in == 0 || random8() >= stalls.in);
    top_.s_axis_tvalid = offered_;
    top_.s_axis_tdata = offered_ ? *in : 0xdeadbeef;
    top_.m_axis_tready = out != outEnd && (stalls.out == 0 || random8() >= stalls.out);
    fall();
    const bool taken = offered_ && top_.s_axis_tready;
    if (top_.m_axis_tvalid && top_.m_axis_tready) {
      *out++ = top_.m_axis_tdata;
      still_ = 0;
    }
    if (access_ != Access::Open) {
      rise();
    } else {
      const bool readTaken = top_.s_axil_arready, writeTaken = top_.s_axil_awready, dataTaken = top_.s_axil_wready;
      const bool readGiven = top_.s_axil_rready && top_.s_axil_rvalid, writeGiven = top_.s_axil_bready && top_.s_axil_bvalid;
      value_ = top_.s_axil_rdata;
      rise();
      if (readTaken) top_.s_axil_arvalid = 0;
      if (writeTaken) top_.s_axil_awvalid = 0;
      if (dataTaken) top_.s_axil_wvalid = 0;
      if (readGiven || writeGiven) {
        top_.s_axil_rready = top_.s_axil_bready = 0;
        access_ = Access::None;
      }
    }
    if (taken) {
      in++;
      offered_ = false;
      still_ = 0;
    }
  }

  bool quiet() { return (read(kStatusRegister) & (kRunning | kOutputWaiting)) == 0; }

  // The falling edge lets the inputs settle; nothing in the machine is clocked by it.
  void fall() {
    top_.clk = 0;
    top_.eval();
    if (onHalfCycle) onHalfCycle(2 * cycles);
  }
  void rise() {
    top_.clk = 1;
    top_.eval();
    if (onHalfCycle) onHalfCycle(2 * cycles + 1);
    cycles++;
  }
};

}  // namespace tutti
