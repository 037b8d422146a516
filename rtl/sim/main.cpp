// The machine as a program. Two ways to talk to it, both in 32-bit words, low byte first:
//
//   tutti-machine --batch            words from standard input to its end, output words to standard output, until all is done
//   tutti-machine [--unix PATH | --tcp PORT]
//                                    packets on standard input and output, or one connection after the other on a socket; each
//                                    connection finds a machine that has just been reset
//
// A packet: kind << 24 | words that follow. To the machine: 0 stream words; 1 read a register (address); 2 write a register (address,
// value); 3 reset. From it: 0 stream words; 1 the answer to a read (value), 2 to a write, 3 to a reset.
//
//   --stall-in P, --stall-out P      of 256 cycles, in how many no input word is offered, no output word taken; --seed S
//   --random                         memories and registers start with random contents, by the seed
//   --trace FILE                     VCD; only in a build with traces (npm run rtl:sim -- --trace)
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "machine.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr size_t kRoom = 1 << 16;       // output words that a slice may give
constexpr uint64_t kSlice = 1 << 14;    // cycles between two looks at the other end
constexpr size_t kMostQueued = 1 << 20; // input words after which no more is read

[[noreturn]] void fail(const std::string &what) {
  fprintf(stderr, "tutti-machine: %s\n", what.c_str());
  exit(2);
}

struct Options {
  bool batch = false, random = false;
  tutti::Stalls stalls;
  std::string unixPath, trace;
  int port = -1;
};

#if VM_TRACE
VerilatedVcdC *traceFile = nullptr;
#endif

struct Simulation {
  VerilatedContext context;
  std::unique_ptr<tutti::Machine> machine;

  explicit Simulation(const Options &options) {
    context.randReset(options.random ? 2 : 0);
    context.randSeed(static_cast<int>(options.stalls.seed & 0x7fffffff));
#if VM_TRACE
    context.traceEverOn(true);
#endif
    machine = std::make_unique<tutti::Machine>(&context);
    machine->stalls = options.stalls;
#if VM_TRACE
    if (!options.trace.empty()) {
      traceFile = new VerilatedVcdC;
      machine->top().trace(traceFile, 99);
      traceFile->open(options.trace.c_str());
      machine->onHalfCycle = [](uint64_t half) { traceFile->dump(half); };
    }
#endif
    machine->reset();
  }
  ~Simulation() {
#if VM_TRACE
    if (traceFile) traceFile->close();
#endif
  }
};

int batch(const Options &options) {
  std::vector<uint32_t> input;
  uint32_t chunk[4096];
  size_t bytes = 0;
  for (ssize_t got; (got = read(0, reinterpret_cast<char *>(chunk) + bytes, sizeof chunk - bytes)) != 0;) {
    if (got < 0) fail(std::string("reading standard input: ") + strerror(errno));
    bytes += static_cast<size_t>(got);
    input.insert(input.end(), chunk, chunk + bytes / 4);
    const size_t rest = bytes % 4;
    memmove(chunk, reinterpret_cast<char *>(chunk) + bytes - rest, rest);
    bytes = rest;
  }
  if (bytes != 0) fail("standard input ends within a word");
  Simulation simulation(options);
  tutti::Machine &machine = *simulation.machine;
  std::vector<uint32_t> output(kRoom);
  machine.in = input.data();
  machine.inEnd = input.data() + input.size();
  for (tutti::Stop stop = tutti::Stop::Cycles; stop != tutti::Stop::Idle;) {
    machine.out = output.data();
    machine.outEnd = output.data() + output.size();
    stop = machine.run(kSlice);
    const size_t words = static_cast<size_t>(machine.out - output.data());
    if (fwrite(output.data(), 4, words, stdout) != words) fail("standard output takes no more");
  }
  fflush(stdout);
  fprintf(stderr, "cycles %llu\n", static_cast<unsigned long long>(machine.cycles));
  return 0;
}

/// Talks packets over a pair of descriptors until the other end closes them.
void serve(const Options &options, int from, int to) {
  for (const int fd : {from, to}) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  Simulation simulation(options);
  tutti::Machine &machine = *simulation.machine;
  std::vector<uint8_t> raw;       // bytes that came and are not understood yet
  std::vector<uint32_t> input;    // stream words that came
  size_t consumed = 0;            // of `input`
  std::vector<uint32_t> room(kRoom);
  std::vector<uint8_t> reply;     // bytes to be sent
  size_t sent = 0;
  bool idle = true, closed = false;

  const auto say = [&](uint32_t kind, const uint32_t *words, size_t count) {
    const uint32_t head = kind << 24 | static_cast<uint32_t>(count);
    const auto *headBytes = reinterpret_cast<const uint8_t *>(&head), *bytes = reinterpret_cast<const uint8_t *>(words);
    reply.insert(reply.end(), headBytes, headBytes + 4);
    reply.insert(reply.end(), bytes, bytes + 4 * count);
  };
  /// Lets the machine do something, with the words that came before it, and takes what it puts out.
  const auto with = [&](auto &&work) {
    machine.in = input.data() + consumed;
    machine.inEnd = input.data() + input.size();
    machine.out = room.data();
    machine.outEnd = room.data() + room.size();
    work();
    consumed = static_cast<size_t>(machine.in - input.data());
    if (machine.out != room.data()) say(0, room.data(), static_cast<size_t>(machine.out - room.data()));
  };
  const auto understand = [&] {
    size_t at = 0;
    while (raw.size() - at >= 4) {
      uint32_t head, words[2] = {0, 0};
      memcpy(&head, &raw[at], 4);
      const size_t count = head & 0xffffff;
      if (raw.size() - at < 4 + 4 * count) break;
      const uint8_t *body = raw.data() + at + 4;
      const uint32_t kind = head >> 24;
      if (kind == 0) {
        const size_t old = input.size();
        input.resize(old + count);
        memcpy(input.data() + old, body, 4 * count);
        idle = idle && count == 0;
      } else if ((kind == 1 && count == 1) || (kind == 2 && count == 2) || (kind == 3 && count == 0)) {
        memcpy(words, body, 4 * count);
        if (kind == 1) {
          uint32_t value = 0;
          with([&] { value = machine.read(words[0]); });
          say(1, &value, 1);
        } else if (kind == 2) {
          with([&] { machine.write(words[0], words[1]); });
          idle = false;
          say(2, nullptr, 0);
        } else {
          machine.reset();
          input.clear();
          consumed = 0;
          say(3, nullptr, 0);
        }
      } else {
        fail("a packet of kind " + std::to_string(kind) + " with " + std::to_string(count) + " words is none");
      }
      at += 4 + 4 * count;
    }
    raw.erase(raw.begin(), raw.begin() + static_cast<ptrdiff_t>(at));
  };

  while (!closed) {
    pollfd fds[2] = {{from, 0, 0}, {to, 0, 0}};
    if (input.size() - consumed < kMostQueued) fds[0].events = POLLIN;
    const bool owed = sent < reply.size();
    if (owed) fds[1].events = POLLOUT;
    // A host that does not take its words stops the clock, as a full FIFO would.
    const bool running = !idle && reply.size() - sent < 4 * kRoom;
    if (poll(fds, 2, running ? 0 : -1) < 0 && errno != EINTR) fail(std::string("poll: ") + strerror(errno));
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
      uint8_t bytes[1 << 16];
      const ssize_t got = read(from, bytes, sizeof bytes);
      if (got > 0) raw.insert(raw.end(), bytes, bytes + got);
      else if (got == 0 || (errno != EAGAIN && errno != EINTR)) closed = true;
      understand();
    }
    if (fds[1].revents & (POLLHUP | POLLERR)) closed = true;
    if (running && !closed) {
      with([&] { idle = machine.run(kSlice) == tutti::Stop::Idle; });
      if (consumed == input.size()) {
        input.clear();
        consumed = 0;
      }
    }
    if (sent < reply.size()) {
      const ssize_t put = write(to, reply.data() + sent, reply.size() - sent);
      if (put > 0) sent += static_cast<size_t>(put);
      else if (put < 0 && errno != EAGAIN && errno != EINTR) closed = true;
      if (sent == reply.size()) {
        reply.clear();
        sent = 0;
      }
    }
  }
}

int listenAt(const Options &options) {
  const bool local = !options.unixPath.empty();
  const int listener = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  int bound;
  if (local) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (options.unixPath.size() >= sizeof address.sun_path) fail("the path of the socket is too long");
    strcpy(address.sun_path, options.unixPath.c_str());
    unlink(address.sun_path);
    bound = bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address);
  } else {
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(options.port));
    bound = bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address);
  }
  if (listener < 0 || bound < 0 || listen(listener, 4) < 0) fail(std::string("cannot listen: ") + strerror(errno));
  if (!local) {
    sockaddr_in address = {};
    socklen_t length = sizeof address;
    getsockname(listener, reinterpret_cast<sockaddr *>(&address), &length);
    fprintf(stderr, "listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  } else {
    fprintf(stderr, "listening on %s\n", options.unixPath.c_str());
  }
  for (;;) {
    const int connection = accept(listener, nullptr, nullptr);
    if (connection < 0) continue;
    if (!local) setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    serve(options, connection, connection);
    close(connection);
  }
}

Options parse(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (++i == argc) fail(name + " needs a value");
      return argv[i];
    };
    const auto number = [&](unsigned long long most) {
      const std::string text = value();
      char *end = nullptr;
      const unsigned long long parsed = strtoull(text.c_str(), &end, 10);
      if (text.empty() || *end != 0 || parsed > most) fail(name + " is \"" + text + "\"; it must be 0 .. " + std::to_string(most));
      return parsed;
    };
    if (name == "--batch") options.batch = true;
    else if (name == "--random") options.random = true;
    else if (name == "--stall-in") options.stalls.in = static_cast<uint32_t>(number(255));
    else if (name == "--stall-out") options.stalls.out = static_cast<uint32_t>(number(255));
    else if (name == "--seed") options.stalls.seed = number(~0ull >> 1);
    else if (name == "--unix") options.unixPath = value();
    else if (name == "--tcp") options.port = static_cast<int>(number(65535));
    else if (name == "--trace") options.trace = value();
    else fail("unknown option " + name + "; see rtl/sim/main.cpp");
  }
#if !VM_TRACE
  if (!options.trace.empty()) fail("this build has no traces; build with npm run rtl:sim -- --trace");
#endif
  return options;
}

}  // namespace

int main(int argc, char **argv) {
  const Options options = parse(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  if (options.batch) return batch(options);
  if (!options.unixPath.empty() || options.port >= 0) return listenAt(options);
  serve(options, 0, 1);
  return 0;
}
