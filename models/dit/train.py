"""Trains the networks of models/dit (development only; needs PyTorch and numpy).

python models/dit/train.py WORK [--steps N] [--resume] ...

MNIST is read from TUTTI_DATA/mnist. WORK is a folder for what is made on the way: autoencoder.pt, judge.pt, state.pt (to go on from with --resume) and
weights.pt, the averaged weights, which export.py turns into a file. The learning rate is constant until the last fifth of the steps, so a run that was
stopped or has ended can be prolonged: --resume goes on from the state before that fifth.
"""

import argparse
import os
import time

import torch
from torch.nn import functional as F

from judge import at_size, embed, frechet, read_mnist, train_judge
from networks import CLASSES, LATENT_CHANNELS, SIZES, Autoencoder, Transformer, sample, shifted

parser = argparse.ArgumentParser()
parser.add_argument("work")
parser.add_argument("--steps", type=int, default=6000)
parser.add_argument("--resume", action="store_true")
parser.add_argument("--rate", type=float, default=2e-3, help="of AdamW; that of the matrices is ten times it")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--device", default="cpu")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--shares", type=float, nargs=3, default=[0.5, 0.4, 0.1], help="of the steps, for 16, 32 and 64 pixels")
parser.add_argument("--batches", type=int, nargs=3, default=[64, 24, 4])
args = parser.parse_args()
os.makedirs(args.work, exist_ok=True)
torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
path = lambda name: os.path.join(args.work, name)
device = torch.device(args.device)
begun = time.time()


def log(text):
    print(f"{time.time() - begun:7.0f} s  {text}", flush=True)


folder = os.path.join(os.environ["TUTTI_DATA"], "mnist")
images, labels = read_mnist(folder, "train")
tested, tested_labels = read_mnist(folder, "t10k")


def pictures(size, count):
    pick = torch.randint(len(images), (count,))
    return at_size(images[pick], size), labels[pick]


def train_autoencoder(steps=700):
    model = Autoencoder()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        x, _ = pictures(SIZES[step % 3], (256, 64, 16)[step % 3])
        z = model.encoder(x * 2 - 1)
        # Noise on the latents, against their own deviation: the decoder learns to bear what the transformer gets wrong.
        spread = z.std((0, 2, 3), keepdim=True).detach()
        got = model.decode(z + 0.1 * spread * torch.randn_like(z))
        loss = F.mse_loss(got, x) + 1e-4 * (z * z).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            log(f"autoencoder {step}: {loss.item():.5f}")
    with torch.no_grad():
        z = torch.cat([model.encoder(pictures(size, 300)[0] * 2 - 1).transpose(0, 1).flatten(1)[:, : 300 * 64] for size in SIZES], 1)
        model.mean.copy_(z.mean(1))
        model.deviation.copy_(z.std(1))
        for size in SIZES:
            x, _ = pictures(size, 64)
            log(f"autoencoder at {size} px: error {(model.decode(model.encode(x)) - x).pow(2).mean().sqrt():.4f}")
    return model


if os.path.exists(path("judge.pt")):
    judge = torch.load(path("judge.pt"), weights_only=False)
else:
    judge = train_judge(images, labels)
    torch.save(judge, path("judge.pt"))
real = {size: embed(judge, at_size(tested, size)) for size in (32,)}
with torch.no_grad():
    right = (judge.classes(real[32]).argmax(1) == tested_labels).float().mean()
log(f"judge: {100 * right:.2f} % on the test set, Frechet distance of its halves {frechet(real[32][:5000], real[32][5000:]):.2f}")
if os.path.exists(path("autoencoder.pt")):
    autoencoder = torch.load(path("autoencoder.pt"), weights_only=False)
else:
    autoencoder = train_autoencoder()
    torch.save(autoencoder, path("autoencoder.pt"))
autoencoder.eval().requires_grad_(False)

model = Transformer().to(device)
average = Transformer().requires_grad_(False).to(device)
average.load_state_dict(model.state_dict())
log(f"{sum(p.numel() for p in model.parameters())} parameters")


def orthogonal(g):
    """Nearest orthogonal matrix, nearly: five Newton-Schulz steps."""
    x = g.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    for _ in range(5):
        a = x @ x.t()
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.t() if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal (Jordan et al. 2024), for the matrices of blocks."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                momentum = state.setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 0.05)
                update = orthogonal(p.grad.lerp(momentum, 0.95)) * max(1, p.shape[0] / p.shape[1]) ** 0.5
                p.mul_(1 - 0.01 * group["lr"]).add_(update, alpha=-group["lr"])


matrices = [p for name, p in model.named_parameters() if name.startswith("blocks") and p.ndim == 2]
chosen = {id(p) for p in matrices}
rest = [p for p in model.parameters() if id(p) not in chosen]
optimizers = [Muon(matrices, 10 * args.rate), torch.optim.AdamW(rest, args.rate, betas=(0.9, 0.98), weight_decay=0.0)]
first = 0
if args.resume:
    state = torch.load(path("state.pt"), weights_only=False)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    for optimizer, saved in zip(optimizers, state["optimizers"]):
        optimizer.load_state_dict(saved)
    first = state["step"]
    torch.manual_seed(args.seed + first)


def save(step, falling):
    if not falling:
        content = {"model": model.state_dict(), "average": average.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step}
        torch.save(content, path("state.tmp"))
        os.replace(path("state.tmp"), path("state.pt"))
    torch.save(average.state_dict(), path("weights.tmp"))
    os.replace(path("weights.tmp"), path("weights.pt"))


def look(size, count, guidance, steps=20):
    generator = torch.Generator().manual_seed(99)
    side = size // 2
    made = []
    for start in range(0, count, 100):
        asked = torch.arange(start, start + 100) % 10
        noise = torch.randn(100, LATENT_CHANNELS, side, side, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            z = sample(average, noise, asked, steps, guidance)
        made.append(autoencoder.decode(z.float()).clamp(0, 1))
    found = embed(judge, torch.cat(made))
    with torch.no_grad():
        right = (judge.classes(found).argmax(1) == torch.arange(count) % 10).float().mean()
    return f"{size} px, guidance {guidance}: {100 * right:.1f} %, Frechet {frechet(found, real[32]):.1f}"


# Forwards and backwards in half precision throughout, which is several times faster; weights and their averages are kept in full precision.
half = Transformer().to(device).bfloat16()
losses = {size: [] for size in SIZES}
for step in range(first, args.steps):
    left = (args.steps - step) / (0.2 * args.steps)
    falling = left < 1
    for optimizer, rate in zip(optimizers, (10 * args.rate, args.rate)):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100, max(left, 0.02))
    which = int(torch.multinomial(torch.tensor(args.shares), 1))
    size, batch = SIZES[which], args.batches[which]
    x, y = pictures(size, batch)
    with torch.no_grad():
        z = autoencoder.encode(x).to(device)
    y = torch.where(torch.rand(batch) < 0.1, CLASSES, y).to(device)
    t = shifted(torch.sigmoid(torch.randn(batch)), size // 2).to(device)
    noise = torch.randn_like(z)
    at = t[:, None, None, None]
    with torch.no_grad():
        for h, p in zip(half.parameters(), model.parameters()):
            h.copy_(p)
            h.grad = None
    v = half(((1 - at) * z + at * noise).bfloat16(), t, y)
    loss = F.mse_loss(v.float(), noise - z)
    loss.backward()
    for h, p in zip(half.parameters(), model.parameters()):
        p.grad = h.grad.float()
    torch.nn.utils.clip_grad_norm_(rest, 1.0)
    for optimizer in optimizers:
        optimizer.step()
    with torch.no_grad():
        keep = min(0.999, (1 + step) / (10 + step))
        for a, p in zip(average.parameters(), model.parameters()):
            a.lerp_(p, 1 - keep)
    losses[size].append(loss.item())
    if (step + 1) % 100 == 0:
        means = ", ".join(f"{size} px {sum(l[-40:]) / max(1, len(l[-40:])):.4f}" for size, l in losses.items())
        log(f"step {step + 1}: {means}")
        save(step + 1, falling)
    if (step + 1) % 4000 == 0 or step + 1 == args.steps:
        log(look(32, 300, 1) + "; " + look(32, 300, 2))
save(args.steps, True)
