"""What the independent judge says of digits that measure.ts wrote (development only): python models/dit/measure.py FILE.idx

Class accuracy (the digits go 0 .. 9 again and again), and the Frechet distance of the judge's features to those of MNIST's test set at that size. Beside it the distance of
as many training pictures, which is what perfect digits would get.
"""

import os
import sys

import numpy as np
import torch
from safetensors.torch import load_file

from judge import Judge, at_size, embed, frechet, read_mnist

torch.set_num_threads(1)
raw = open(sys.argv[1], "rb").read()
count, size = np.frombuffer(raw, ">u4", 2, 4).tolist()
made = torch.from_numpy(np.frombuffer(raw, np.uint8, offset=16).reshape(count, 1, size, size).astype(np.float32) / 255)
judge = Judge()
judge.load_state_dict({name: value.float() for name, value in load_file(os.path.join(os.path.dirname(os.path.abspath(__file__)), "judge.safetensors")).items()})
judge.eval()
folder = os.path.join(os.environ["TUTTI_DATA"], "mnist")
images, labels = read_mnist(folder, "t10k")
others, _ = read_mnist(folder, "train")
real = embed(judge, at_size(images, size))
found = embed(judge, made)
with torch.no_grad():
    right = (judge.classes(found).argmax(1) == torch.arange(count) % 10).float().mean()
    known = (judge.classes(real).argmax(1) == labels).float().mean()
torch.manual_seed(0)
some = embed(judge, at_size(others[torch.randperm(len(others))[:count]], size))
spread = float(torch.from_numpy(np.cov(real.double().numpy(), rowvar=False)).trace())
print(f"{count} digits of {size} px: {100 * right:.1f} % as asked ({100 * known:.2f} % of the test set), Frechet distance {frechet(found, real):.2f}; training pictures {frechet(some, real):.2f}, total variance of the features {spread:.1f}")
