// The Verilated machine as a Wasm reactor without imports: what host/fpga/twin.ts calls. One instance is one machine.
#include "../sim/machine.h"

namespace {

constexpr uint32_t kInput = 1 << 15, kOutput = 1 << 13;

uint32_t input[kInput];
uint32_t output[kOutput];
VerilatedContext *context;
tutti::Machine *machine;

tutti::Machine &opened() {
  if (!machine) {
    context = new VerilatedContext;
    machine = new tutti::Machine(context);
    machine->in = machine->inEnd = input;
    machine->out = output;
    machine->outEnd = output + kOutput;
  }
  return *machine;
}

}  // namespace

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

/// Addresses and sizes, in words, of the two buffers.
EXPORT(inputBuffer) uint32_t *inputBuffer() { return input; }
EXPORT(inputRoom) uint32_t inputRoom() { return kInput; }
EXPORT(outputBuffer) uint32_t *outputBuffer() { return output; }

/// Offers the first `words` words of the input buffer; those of before that have not been taken must be the first of them.
EXPORT(offer) void offer(uint32_t words) {
  opened().in = input;
  opened().inEnd = input + words;
}

/// Input words that have not been taken yet.
EXPORT(offered) uint32_t offered() { return static_cast<uint32_t>(opened().inEnd - opened().in); }

/// Runs at most `cycles` cycles and returns why it stopped (`tutti::Stop`).
EXPORT(run) uint32_t run(uint32_t cycles) { return static_cast<uint32_t>(opened().run(cycles)); }

/// Words in the output buffer since this was called the last time; it is empty afterwards.
EXPORT(collect) uint32_t collect() {
  const auto words = static_cast<uint32_t>(opened().out - output);
  opened().out = output;
  return words;
}

EXPORT(readRegister) uint32_t readRegister(uint32_t address) { return opened().read(address); }
EXPORT(writeRegister) void writeRegister(uint32_t address, uint32_t value) { opened().write(address, value); }

/// Of this instance.
EXPORT(cycles) double cyclesRun() { return static_cast<double>(opened().cycles); }
