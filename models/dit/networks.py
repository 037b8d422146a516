"""The networks of models/dit in PyTorch (development only): autoencoder, class encoder and diffusion transformer. host/dit runs the same ones."""

import math

import torch
from torch import nn
from torch.nn import functional as F

LATENT_CHANNELS = 4
SIZES = (16, 32, 64)
CLASSES = 10


class Autoencoder(nn.Module):
    """Pictures [B, 1, S, S] of 0 .. 1 to latents [B, 4, S/2, S/2] and back."""

    def __init__(self, width=32):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, LATENT_CHANNELS, 3, padding=1),
        )
        self.conv_in = nn.Conv2d(LATENT_CHANNELS, width, 3, padding=1)
        self.conv_mid = nn.Conv2d(width, width, 3, padding=1)
        self.conv_up = nn.Conv2d(width, width // 2, 3, padding=1)
        self.conv_out = nn.Conv2d(width // 2, 1, 3, padding=1)
        self.register_buffer("mean", torch.zeros(LATENT_CHANNELS))
        self.register_buffer("deviation", torch.ones(LATENT_CHANNELS))

    def encode(self, pictures):
        z = self.encoder(pictures * 2 - 1)
        return (z - self.mean[:, None, None]) / self.deviation[:, None, None]

    def decode(self, latents):
        x = F.silu(self.conv_in(latents * self.deviation[:, None, None] + self.mean[:, None, None]))
        x = F.silu(self.conv_mid(x))
        x = F.silu(self.conv_up(F.interpolate(x, scale_factor=2, mode="nearest")))
        return self.conv_out(x)


def sinusoids(values, width, span=1000.0, period=10000.0):
    """[n] to [n, width]: cosines, then sines, of falling frequency."""
    half = width // 2
    frequencies = torch.exp(-math.log(period) * torch.arange(half, dtype=torch.float64) / half).float()
    angles = (values.float() * span)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


def positions(side, width, span):
    """[side * side, width]: half of the width for each coordinate, sines before cosines. Coordinates run over `span` whatever the side."""
    quarter = width // 4
    at = (torch.arange(side, dtype=torch.float64) + 0.5) * span / side - 0.5
    frequencies = 1 / 10000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = at[:, None] * frequencies
    one = torch.cat([angles.sin(), angles.cos()], 1)
    # The first half of a token's embedding is of its column, as in DiT.
    return torch.cat([one[None].expand(side, side, -1), one[:, None].expand(side, side, -1)], 2).reshape(side * side, width).float()


def attend(q, k, v):
    """Written out: the fused kernel's gradient is several times slower on a CPU. In the precision of its arguments."""
    with torch.autocast(q.device.type, enabled=False):
        weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), -1)
        return weights @ v


class Block(nn.Module):
    def __init__(self, width, heads, ratio=4):
        super().__init__()
        self.heads = heads
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, ratio * width), "fc2": nn.Linear(ratio * width, width)})
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        nn.init.zeros_(self.adaLN_modulation[1].weight)
        nn.init.zeros_(self.adaLN_modulation[1].bias)

    def forward(self, x, c):
        b, t, d = x.shape
        shift, scale, gate, shift2, scale2, gate2 = self.adaLN_modulation(c)[:, None].chunk(6, 2)
        h = F.layer_norm(x, (d,), eps=1e-6) * (1 + scale) + shift
        q, k, v = self.attn["qkv"](h).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        h = attend(q, k, v).transpose(1, 2).reshape(b, t, d)
        x = x + gate * self.attn["proj"](h)
        h = F.layer_norm(x, (d,), eps=1e-6) * (1 + scale2) + shift2
        return x + gate2 * self.mlp["fc2"](F.gelu(self.mlp["fc1"](h), approximate="tanh"))


class Embedder(nn.Module):
    def __init__(self, inner, width):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(inner, width), nn.SiLU(), nn.Linear(width, width))


class Transformer(nn.Module):
    """Velocity of rectified flow: latents [B, 4, s, s], times [B] in 0 .. 1 (1 is noise), classes [B] (10 is none)."""

    def __init__(self, width=128, depth=4, heads=4, span=32.0):
        super().__init__()
        self.width, self.depth, self.heads, self.span = width, depth, heads, span
        self.x_embedder = nn.Linear(LATENT_CHANNELS, width)
        self.t_embedder = Embedder(256, width)
        self.y_embedder = nn.Embedding(CLASSES + 1, width)
        self.class_encoder = Embedder(width, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_layer = nn.ModuleDict(
            {"adaLN_modulation": nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width)), "linear": nn.Linear(width, LATENT_CHANNELS)}
        )
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.weight.abs().sum() > 0:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.y_embedder.weight, std=0.5)
        for layer in (self.final_layer["adaLN_modulation"][1], self.final_layer["linear"]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.grids = {}

    def encode(self, classes, side):
        """The encode stage: what a class at a size is to the transformer."""
        size = sinusoids(torch.tensor([math.log2(side / 8)]), self.width, span=8.0)
        return self.class_encoder.mlp(self.y_embedder(classes) + size.to(self.y_embedder.weight))

    def forward(self, latents, times, classes):
        return self.velocity(latents, times, self.encode(classes, latents.shape[-1]))

    def velocity(self, latents, times, condition):
        b, channels, side, _ = latents.shape
        if side not in self.grids:
            self.grids[side] = positions(side, self.width, self.span)
        x = self.x_embedder(latents.permute(0, 2, 3, 1).reshape(b, side * side, channels)) + self.grids[side].to(latents)
        c = self.t_embedder.mlp(sinusoids(times, 256).to(condition)) + condition
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.final_layer["adaLN_modulation"](c)[:, None].chunk(2, 2)
        x = self.final_layer["linear"](F.layer_norm(x, (self.width,), eps=1e-6) * (1 + scale) + shift)
        return x.view(b, side, side, channels).permute(0, 3, 1, 2)


def shifted(times, side):
    """Times of larger pictures, whose neighbours say more about each other, move towards noise (Esser et al. 2024)."""
    shift = side / 8
    return shift * times / (1 + (shift - 1) * times)


@torch.no_grad()
def sample(model, noise, classes, steps, guidance):
    """Euler steps from noise; guidance 1 is without."""
    side = noise.shape[-1]
    grid = shifted(1 - torch.arange(steps + 1) / steps, side)
    z = noise
    n = len(z)
    condition = model.encode(classes, side)
    if guidance != 1:
        condition = torch.cat([condition, model.encode(torch.full_like(classes, CLASSES), side)])
    for t, after in zip(grid[:-1], grid[1:]):
        if guidance == 1:
            v = model.velocity(z, t.expand(n), condition)
        else:
            v, without = model.velocity(torch.cat([z, z]), t.expand(2 * n), condition).chunk(2)
            v = without + guidance * (v - without)
        z = z + (after - t) * v.float()
    return z
