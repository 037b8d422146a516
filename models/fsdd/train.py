"""Trains the recurrent network of models/fsdd (development only; needs PyTorch and numpy).

python models/fsdd/train.py SPIKES OUTPUT [--hold-out SPEAKER] [--validate] [--epochs N] [--synapses N] ...

SPIKES is what encode.ts wrote. The forward pass is the integer dynamics of the fixed-point engine itself, in units of weight
steps: v <- v - floor(v / 2^k) + input, fires at v >= threshold, reset by subtraction; gradients pass straight through rounding
and floor, and through a fast sigmoid at the threshold. OUTPUT is a JSON of integers that build.ts turns into a network file.
"""

import argparse
import json
import time

import numpy as np
import torch

parser = argparse.ArgumentParser()
parser.add_argument("spikes")
parser.add_argument("output")
parser.add_argument("--hidden", type=int, default=192)
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--rate", type=float, default=2e-3)
parser.add_argument("--synapses", type=int, default=32000)
parser.add_argument("--threshold", type=int, default=96)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--hold-out", default=None, help="number of a speaker (in alphabetical order) to train without")
parser.add_argument("--validate", action="store_true", help="train on takes 10-49 and report takes 5-9; leave takes 0-4 alone")
args = parser.parse_args()
torch.manual_seed(args.seed)
rng = np.random.default_rng(args.seed)
torch.set_num_threads(2)


def read(path):
    words = np.fromfile(path, dtype=np.uint32)
    count, units, steps = (int(w) for w in words[:3])
    items, at = [], 3
    for _ in range(count):
        digit, speaker, take, speed, spikes = (int(w) for w in words[at : at + 5])
        items.append((digit, speaker, take, speed, words[at + 5 : at + 5 + spikes].astype(np.int64)))
        at += 5 + spikes
    return items, units, steps


items, units, steps = read(args.spikes)
channels = units // 7
first_training_take = 10 if args.validate else 5
if args.hold_out is None:
    train = [i for i in items if i[2] >= first_training_take]
    test = [i for i in items if i[3] == 100 and (5 <= i[2] < 10 if args.validate else i[2] < 5)]
else:
    speaker = int(args.hold_out)
    train = [i for i in items if i[1] != speaker and i[2] >= 5]
    test = [i for i in items if i[1] == speaker and i[3] == 100]


def dense(batch, augment):
    """[steps, batch, units] of zeros and ones."""
    x = np.zeros((len(batch), steps, units), dtype=np.float32)
    for b, (_, _, _, _, spikes) in enumerate(batch):
        step, unit = spikes // units, spikes % units
        if augment:
            step = step + rng.integers(-3, 6)
            shift = rng.integers(-1, 2)
            channel = unit % channels + shift
            keep = (step >= 0) & (step < steps) & (channel >= 0) & (channel < channels) & (rng.random(len(unit)) > 0.1)
            step = np.clip(step + (rng.random(len(step)) < 0.15) * rng.integers(-1, 2, len(step)), 0, steps - 1)
            step, unit = step[keep], (unit + shift)[keep]
        x[b, step, unit] = 1
        if augment:
            x[b, rng.integers(0, steps, 6), rng.integers(0, units, 6)] = 1
    return torch.from_numpy(x).transpose(0, 1).contiguous()


class Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v, threshold):
        ctx.save_for_backward(v)
        ctx.threshold = threshold
        return (v >= threshold).float()

    @staticmethod
    def backward(ctx, g):
        (v,) = ctx.saved_tensors
        distance = (v - ctx.threshold) / ctx.threshold
        return g / (ctx.threshold * (1 + 4 * distance.abs()) ** 2), None


def whole(w):
    """Rounded to int8, the gradient straight through."""
    clipped = w.clamp(-127, 127)
    return clipped + (clipped.round() - clipped).detach()


H = args.hidden
LEAKS = torch.tensor([2.0, 3.0, 4.0, 5.0]).repeat_interleave(H // 4)
leak = 2.0**LEAKS
gain = args.threshold
weights = {
    "input": (torch.randn(units, H) * gain * 0.35).requires_grad_(),
    "recurrent": (torch.randn(H, H) * gain * 0.6 / H**0.5).requires_grad_(),
    "output": (torch.randn(H, 10) * 12).requires_grad_(),
}
masks = {name: torch.ones_like(w) for name, w in weights.items()}


def forward(x, drop=0.0):
    batch = x.shape[1]
    w_in, w_rec, w_out = (whole(weights[n] * masks[n]) for n in ("input", "recurrent", "output"))
    v = torch.zeros(batch, H)
    s = torch.zeros(batch, H)
    out = torch.zeros(batch, 10)
    fired = torch.zeros(())
    keep = (torch.rand(batch, H) >= drop).float() if drop > 0 else 1.0
    for t in range(steps):
        decayed = v - v / leak
        v = decayed + (v - torch.floor(v / leak) - decayed).detach() + x[t] @ w_in + s @ w_rec
        s = Fire.apply(v, args.threshold) * keep
        v = v - args.threshold * s.detach()
        out = out + s @ w_out
        fired = fired + s.sum()
    return out, fired / batch


def accuracy(part):
    right, spikes = 0, 0.0
    with torch.no_grad():
        for i in range(0, len(part), 100):
            batch = part[i : i + 100]
            out, fired = forward(dense(batch, False))
            right += (out.argmax(1).numpy() == np.array([b[0] for b in batch])).sum()
            spikes += float(fired) * len(batch)
    return right / len(part), spikes / len(part)


def prune(left):
    flat = torch.cat([(weights[n] * masks[n]).abs().flatten() / weights[n].std() for n in ("input", "recurrent")])
    limit = flat.kthvalue(max(1, flat.numel() - left)).values
    for n in ("input", "recurrent"):
        masks[n] = ((weights[n].detach().abs() / weights[n].std().detach()) > limit).float() * masks[n]


total = weights["input"].numel() + weights["recurrent"].numel()
optimiser = torch.optim.Adam(
    [{"params": [weights["input"], weights["recurrent"]], "lr": args.rate * gain * 0.35}, {"params": [weights["output"]], "lr": args.rate * 12}]
)
per_epoch = min(len(train), 2700)
batches = per_epoch // args.batch
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimiser, max_lr=[g["lr"] for g in optimiser.param_groups], total_steps=args.epochs * batches, pct_start=0.1
)
began = time.time()
for epoch in range(args.epochs):
    order = rng.permutation(len(train))[:per_epoch]
    losses = []
    for i in range(batches):
        batch = [train[k] for k in order[i * args.batch : (i + 1) * args.batch]]
        out, fired = forward(dense(batch, True), drop=0.1)
        target = torch.tensor([b[0] for b in batch])
        loss = torch.nn.functional.cross_entropy(out / 250, target, label_smoothing=0.05)
        loss = loss + 2e-4 * torch.relu(fired - 500)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([w for w in weights.values()], 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    share = min(1.0, max(0.0, (epoch / args.epochs - 0.1) / 0.5))
    prune(int(args.synapses + (total - args.synapses) * (1 - share) ** 3))
    if epoch % 5 == 4 or epoch == args.epochs - 1:
        right, spikes = accuracy(test)
        left = sum(int(m.sum()) for n, m in masks.items() if n != "output")
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}, test {100 * right:.2f} %, {spikes:.0f} spikes, {left} synapses, {time.time() - began:.0f} s", flush=True)

result = {n: whole(weights[n] * masks[n]).detach().round().int().flatten().tolist() for n in weights}
outs = []
with torch.no_grad():
    for i in range(0, len(test), 100):
        outs.append(forward(dense(test[i : i + 100], False))[0])
result |= {
    "hidden": H,
    "units": units,
    "leakShift": LEAKS.int().tolist(),
    "threshold": args.threshold,
    "accuracy": accuracy(test)[0],
    "potentials": torch.cat(outs).int().tolist(),
    "tested": [[b[0], b[1], b[2]] for b in test],
}
json.dump(result, open(args.output, "w"))
print(f"accuracy {100 * result['accuracy']:.2f} % of {len(test)}, {time.time() - began:.0f} s")
