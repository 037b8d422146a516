"""The CUBA network of Vogels and Abbott (2005) in Brian2's C++ standalone mode, the peer of bench:snn.

Usage: cuba_brian2.py NEURONS SECONDS FOLDER [float32]
Builds FOLDER/main once; each run of it draws a new network and writes to results/: wall.txt (seconds of the simulation loop alone,
monotonic clock; Brian's own last_run_info.txt counts CPU time) and the spike count. One thread, -O3 -march=native -ffast-math.
"""
import sys

import numpy
from brian2 import (NeuronGroup, SpikeMonitor, Synapses, defaultclock, device, mV, ms, prefs, run, second, set_device)

neurons, seconds, folder = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
if "float32" in sys.argv[4:]:
    prefs.core.default_float_dtype = numpy.float32
set_device("cpp_standalone", build_on_run=False)
prefs.codegen.cpp.extra_compile_args_gcc = ["-w", "-O3", "-march=native", "-ffast-math", "-fno-finite-math-only"]
defaultclock.dt = 0.1 * ms

eqs = """
dv/dt = (ge + gi - (v - El)) / taum : volt (unless refractory)
dge/dt = -ge / taue : volt
dgi/dt = -gi / taui : volt
"""
namespace = dict(taum=20 * ms, taue=5 * ms, taui=10 * ms, Vt=-50 * mV, Vr=-60 * mV, El=-49 * mV,
                 we=1.62 * mV, wi=-9 * mV)
group = NeuronGroup(neurons, eqs, threshold="v > Vt", reset="v = Vr", refractory=5 * ms, method="exact",
                    namespace=namespace)
group.v = "Vr + rand() * (Vt - Vr)"
excitatory = neurons * 4 // 5
# In-degree 80 at every size: 2 % of 4,000.
probability = 80 / neurons
ce = Synapses(group[:excitatory], group, on_pre="ge += we", namespace=namespace)
ci = Synapses(group[excitatory:], group, on_pre="gi += wi", namespace=namespace)
ce.connect(p=probability)
ci.connect(p=probability)
spikes = SpikeMonitor(group, record=False)
device.insert_code("before_network_run", "struct timespec began, ended; clock_gettime(CLOCK_MONOTONIC, &began);")
device.insert_code("after_network_run", """clock_gettime(CLOCK_MONOTONIC, &ended);
{ std::ofstream wall("results/wall.txt");
  wall << (ended.tv_sec - began.tv_sec) + 1e-9 * (ended.tv_nsec - began.tv_nsec) << std::endl; }""")
prefs.codegen.cpp.headers += ["<time.h>"]
run(seconds * second)
device.build(directory=folder, compile=True, run=False, debug=False)
