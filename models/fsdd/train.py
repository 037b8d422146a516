"""Trains the recurrent network of models/fsdd (development only; needs PyTorch and numpy).

python models/fsdd/train.py LEVELS OUTPUT [--validate | --hold-out SPEAKER] [--epochs N] ...

LEVELS is what encode.ts wrote. The spikes are taken from it as host/snn/cochlea.ts does, after warping, tilting, shifting and masking the
levels at random in training; those of the unchanged recordings are checked against encode.ts. The forward pass is the integer dynamics
of the fixed-point engine itself, v <- v - floor(v / 2^k) + input, fires at v >= threshold, reset by subtraction, int8 weights; gradients
pass straight through rounding and floor, past the reset, and through a surrogate at the threshold. OUTPUT is a JSON of integers that
build.ts turns into a network file.
"""

import argparse
import json
import time

import numpy as np
import torch

parser = argparse.ArgumentParser()
parser.add_argument("levels")
parser.add_argument("output")
parser.add_argument("--validate", action="store_true", help="train on takes 10-49, test on takes 5-9; takes 0-4 are left alone")
parser.add_argument("--hold-out", type=int, help="number of a speaker, in alphabetical order, to train without and test on")
parser.add_argument("--hidden", type=int, default=256)
parser.add_argument("--epochs", type=int, default=80)
parser.add_argument("--batch", type=int, default=50)
parser.add_argument("--rate", type=float, default=8e-3)
parser.add_argument("--synapses", type=int, default=40000, help="of the input and recurrent projections, after pruning")
parser.add_argument("--drop", type=float, default=0.1)
parser.add_argument("--warp", type=float, default=1.0, help="strength of the changes made to the levels")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
rng = np.random.default_rng(args.seed)

BELOW, ONSET, FLOOR = (24, 48, 72), 24, 112  # defaults of encodeCochlea
THRESHOLD = 96.0
LEAKS = [2, 3, 4, 5]
# Surrogate gradient: height and slope, in thresholds.
HEIGHT, SLOPE = 0.5, 3.0
READ = 240.0  # potential of one nat

raw = open(args.levels, "rb").read()
count, channels, steps, units = np.frombuffer(raw, "<u4", 4).tolist()
items = np.frombuffer(raw, "<u4", 4 * count, 16).reshape(count, 4).astype(np.int64)
levels = np.frombuffer(raw, "<i2", count * steps * channels, 16 + 16 * count).reshape(count, steps, channels)
checks = np.frombuffer(raw, "<u4", offset=16 + 16 * count + levels.nbytes).reshape(-1, 2)
digits, speakers, takes, speeds = items.T
if args.hold_out is not None:
    train = np.where((speakers != args.hold_out) & (takes >= 5))[0]
    test = np.where((speakers == args.hold_out) & (speeds == 100))[0]
elif args.validate:
    train, test = np.where(takes >= 10)[0], np.where((takes >= 5) & (takes < 10) & (speeds == 100))[0]
else:
    train, test = np.where(takes >= 5)[0], np.where((takes < 5) & (speeds == 100))[0]


def crossings(level):
    """[items, steps, channels] to spikes [items, steps, units]."""
    loudest = level.max((1, 2), keepdims=True)
    before = np.zeros_like(level)
    before[:, 1:] = level[:, :-1]
    rising, falling = [], []
    for below in BELOW:
        limit = np.maximum(FLOOR, loudest - below)
        rising.append((level >= limit) & (before < limit))
        falling.append((level < limit) & (before >= limit))
    # encodeCochlea starts from level 0, which is below every limit.
    onset = (level >= FLOOR) & (level - np.maximum(before, FLOOR) >= ONSET)
    return np.concatenate([*rising, *falling, onset], 2)


def spikes(which, change=False):
    return torch.from_numpy(crossings(changed(levels[which]) if change else levels[which]).astype(np.float32))


for check, item in zip(checks, np.where(speeds == 100)[0]):
    at = np.flatnonzero(crossings(levels[item : item + 1]))
    assert len(at) == check[0] and at.sum() % 2**32 == check[1], f"item {item} differs from encode.ts"


def changed(level):
    """Stretched and shifted in time, shifted by a channel, tilted, made noisy, masked in time and frequency."""
    n, w = len(level), args.warp
    stretch = 1 + w * rng.uniform(-0.15, 0.18, n)
    source = np.round(np.arange(steps) * stretch[:, None] + rng.integers(-4, 3, n)[:, None]).astype(int)
    inside = (source >= 0) & (source < steps)
    x = np.take_along_axis(level, source.clip(0, steps - 1)[:, :, None], 1) * inside[:, :, None].astype(level.dtype)
    channel = (np.arange(channels) + rng.integers(-1, 2, n)[:, None]).clip(0, channels - 1)
    x = np.take_along_axis(x, channel[:, None, :], 2)
    knots = rng.normal(0, 5 * w, (n, 5))
    place = np.linspace(0, 3.999, channels)
    k = place.astype(int)
    tilt = knots[:, k] * (1 - place + k) + knots[:, k + 1] * (place - k)
    x = x + ((x > 0) * (tilt[:, None] + rng.normal(0, 2.5 * w, x.shape))).astype(level.dtype)
    first, width = rng.integers(0, channels, n)[:, None], rng.integers(0, int(1 + 4 * w), n)[:, None]
    c = np.arange(channels)
    x = np.where(((c >= first) & (c < first + width))[:, None, :], 0, x)
    first, width = rng.integers(0, 45, n)[:, None], rng.integers(0, int(1 + 3 * w), n)[:, None]
    t = np.arange(steps)
    return np.where(((t >= first) & (t < first + width))[:, :, None], 0, x)


H = args.hidden
leak = 2.0 ** torch.tensor(LEAKS).float().repeat_interleave(H // len(LEAKS))


class Recurrent(torch.autograd.Function):
    """Input currents [steps, batch, H] to spikes; backwards by hand, which is several times faster than autograd's own."""

    @staticmethod
    def forward(ctx, current, w, keep):
        v, s = torch.zeros_like(current[0]), torch.zeros_like(current[0])
        potentials, fired = torch.empty_like(current), torch.empty_like(current)
        for t in range(len(current)):
            v = v - torch.floor(v / leak) + current[t]
            v.addmm_(s, w)
            potentials[t] = v
            s = (v >= THRESHOLD).float()
            v = v - THRESHOLD * s
            s = s * keep
            fired[t] = s
        ctx.save_for_backward(potentials, fired, w, keep)
        return fired

    @staticmethod
    def backward(ctx, grad):
        potentials, fired, w, keep = ctx.saved_tensors
        slope = keep * (HEIGHT / THRESHOLD) / (1 + SLOPE * (potentials / THRESHOLD - 1).abs()) ** 2
        out = torch.empty_like(grad)
        g = torch.zeros_like(grad[0])
        for t in reversed(range(len(grad))):
            g = torch.addmm(grad[t], g, w.t()) * slope[t] + g * (1 - 1 / leak)
            out[t] = g
        return out, fired[:-1].reshape(-1, H).t() @ out[1:].reshape(-1, H), None


def whole(w):
    """Rounded to int8, the gradient straight through."""
    w = w.clamp(-127, 127)
    return w + (w.round() - w).detach()


weights = {
    "input": torch.randn(units, H) * THRESHOLD * 0.175,
    "recurrent": torch.randn(H, H) * THRESHOLD * 0.2 / H**0.5,
    "output": torch.randn(H, 10) * 12,
}
masks = {name: torch.ones_like(w) for name, w in weights.items()}
for w in weights.values():
    w.requires_grad_()


def forward(x, drop=0.0):
    """@returns potentials of the read-outs, hidden spikes of each recording, synaptic operations of each recording"""
    w = {name: whole(weights[name] * masks[name]) for name in weights}
    current = (x.reshape(-1, units) @ w["input"]).reshape(*x.shape[:2], H).transpose(0, 1).contiguous()
    keep = (torch.rand(len(x), H) >= drop).float()
    fired = Recurrent.apply(current, w["recurrent"], keep).sum(0)
    fan = {name: (w[name] != 0).sum(1).float() for name in w}
    operations = x.sum(1) @ fan["input"] + fired.detach() @ (fan["recurrent"] + fan["output"])
    return fired @ w["output"], fired.sum(1), operations


def measure(which):
    with torch.no_grad():
        parts = [forward(spikes(which[i : i + 100])) for i in range(0, len(which), 100)]
    potentials = torch.cat([p[0] for p in parts])
    right = (potentials.argmax(1).numpy() == digits[which]).mean()
    return right, *(float(torch.cat([p[k] for p in parts]).mean()) for k in (1, 2)), potentials


def prune(left):
    sizes = torch.cat([(weights[n] * masks[n]).detach().abs().flatten() for n in ("input", "recurrent")])
    if left >= len(sizes):
        return
    limit = max(0.5, float(sizes.kthvalue(len(sizes) - left).values))
    for n in ("input", "recurrent"):
        masks[n] *= (weights[n].detach().abs() > limit).float()


def report():
    right, fired, operations, _ = measure(test)
    left = sum(int((whole(weights[n] * masks[n]) != 0).sum()) for n in weights)
    return f"test {100 * right:.2f} %, {fired:.0f} spikes, {operations:.0f} operations, {left} synapses, {time.time() - began:.0f} s"


per_epoch = 2400 // args.batch
optimiser = torch.optim.Adam([{"params": [weights[n]], "lr": args.rate * size} for n, size in (("input", 34), ("recurrent", 34), ("output", 12))])
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimiser, [g["lr"] for g in optimiser.param_groups], total_steps=args.epochs * per_epoch, pct_start=0.1
)
lengths = (levels.max(2) >= FLOOR).sum(1)
total = weights["input"].numel() + weights["recurrent"].numel()
began = time.time()
for epoch in range(args.epochs):
    losses = []
    # Batches of recordings of similar length, in any order; the silence after them is left out, but for a few steps.
    order = rng.permutation(train)[: per_epoch * args.batch].reshape(-1, 4 * args.batch)
    order = np.concatenate([part[np.argsort(lengths[part])] for part in order]).reshape(per_epoch, args.batch)
    for batch in rng.permutation(order):
        x = spikes(batch, change=True)
        x = x[:, : int(x.sum((0, 2)).nonzero().max()) + 7]
        out, fired, _ = forward(x, args.drop)
        loss = torch.nn.functional.cross_entropy(out / READ, torch.from_numpy(digits[batch]), label_smoothing=0.05)
        loss = loss + 1e-4 * torch.relu(fired - 500).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 0.03)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    # The smallest weights go between a tenth and half of the time.
    share = min(1.0, max(0.0, (epoch / args.epochs - 0.1) / 0.4))
    if share > 0:
        prune(int(args.synapses + (total - args.synapses) * (1 - share) ** 3))
    if epoch % 5 == 4 or epoch == args.epochs - 1:
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}, {report() if args.validate or epoch == args.epochs - 1 else ''}", flush=True)

right, fired, operations, potentials = measure(test)
result = {name: whole(weights[name] * masks[name]).detach().round().int().flatten().tolist() for name in weights}
result |= {"hidden": H, "units": units, "steps": steps, "leakShift": LEAKS, "threshold": int(THRESHOLD)}
result |= {"accuracy": right, "spikes": fired, "operations": operations, "arguments": vars(args)}
result |= {"potentials": potentials.int().tolist(), "tested": items[test, :3].tolist()}
json.dump(result, open(args.output, "w"))
