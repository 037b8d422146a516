"""Writes digits.safetensors and expected.safetensors of models/dit from what train.py left in a folder (development only).

python models/dit/export.py WORK

digits.safetensors has the averaged weights and the decoder in half precision; judge.safetensors the independent classifier. expected.safetensors has what PyTorch makes of the written, rounded
weights, in full precision: latents after a few steps of both samplers from given noise, and the decoded pictures. Tests hold the runtime to it.
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file

from networks import CLASSES, LATENT_CHANNELS, SIZES, Transformer, sample, shifted

work = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
autoencoder = torch.load(os.path.join(work, "autoencoder.pt"), weights_only=False).eval()
judge = torch.load(os.path.join(work, "judge.pt"), weights_only=False).eval()
model = Transformer().eval()
model.load_state_dict(torch.load(os.path.join(work, "weights.pt")))

config = {
    "name": "tutti digits",
    "width": model.width,
    "depth": model.depth,
    "heads": model.heads,
    "ratio": 4,
    "patch": 1,
    "channels": LATENT_CHANNELS,
    "classes": CLASSES,
    "scale": 2,
    "span": model.span,
    "timeWidth": 256,
    "timeSpan": 1000,
    "epsilon": 1e-6,
    "sizes": list(SIZES),
}
tensors = {name: value.half().contiguous() for name, value in model.state_dict().items()}
decoder = {name: value.half().contiguous() for name, value in autoencoder.state_dict().items() if not name.startswith("encoder.")}
tensors.update({f"decoder.{name}": value for name, value in decoder.items()})
metadata = {"config": json.dumps(config), "licence": "MIT", "data": "MNIST (Y. LeCun, C. Cortes, C. Burges), CC BY-SA 3.0"}
save_file(tensors, os.path.join(here, "digits.safetensors"), metadata)
save_file(
    {name: value.half().contiguous() for name, value in judge.state_dict().items()},
    os.path.join(here, "judge.safetensors"),
    {"licence": "MIT", "data": metadata["data"]},
)

# From here on with the rounded weights.
model.load_state_dict({name: value.float() for name, value in tensors.items() if not name.startswith("decoder.")})
autoencoder.load_state_dict({**autoencoder.state_dict(), **{name: value.float() for name, value in decoder.items()}})


@torch.no_grad()
def heun(noise, classes, steps, guidance):
    side = noise.shape[-1]
    grid = shifted(1 - torch.arange(steps + 1) / steps, side)
    n = len(noise)
    condition = torch.cat([model.encode(classes, side), model.encode(torch.full_like(classes, CLASSES), side)])

    def velocity(z, t):
        v, without = model.velocity(torch.cat([z, z]), t.expand(2 * n), condition).chunk(2)
        return without + guidance * (v - without)

    z = noise
    for t, after in zip(grid[:-1], grid[1:]):
        v = velocity(z, t)
        z = z + (after - t) * (v + velocity(z + (after - t) * v, after)) / 2
    return z


torch.manual_seed(5)
classes = torch.tensor([3, 7])
expected = {"classes": classes.int()}
last = lambda z: z.permute(0, 2, 3, 1).contiguous()
for size in (16, 32):
    noise = torch.randn(2, LATENT_CHANNELS, size // 2, size // 2)
    with torch.no_grad():
        z = sample(model, noise, classes, 4, 2.0)
        expected[f"noise{size}"] = last(noise)
        expected[f"condition{size}"] = model.encode(classes, size // 2)
        expected[f"euler{size}"] = last(z)
        expected[f"pictures{size}"] = autoencoder.decode(z)[:, 0].contiguous()
        if size == 16:
            expected["plain16"] = last(sample(model, noise, classes, 4, 1))
            expected["heun16"] = last(heun(noise, classes, 3, 2.0))
save_file(expected, os.path.join(here, "expected.safetensors"))
