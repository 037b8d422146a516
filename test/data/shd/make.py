"""Makes layout.h5, a small file of random spikes in the layout of the Spiking Heidelberg Digits, and layout.json, the same as text."""

import json

import h5py
import numpy as np

rng = np.random.default_rng(5)
counts = [13, 29, 0, 40, 7, 22, 18, 31, 5, 26, 17, 33, 12, 8, 21, 9, 16, 24]
times = [np.sort(rng.uniform(0, 1.1, n)).astype(np.float16) for n in counts]
units = [rng.integers(0, 700, n).astype(np.uint16) for n in counts]
labels = rng.integers(0, 20, len(counts)).astype(np.uint16)
speakers = rng.integers(0, 12, len(counts)).astype(np.uint16)
with h5py.File("layout.h5", "w") as file:
    spikes = file.create_group("spikes")
    spikes.create_dataset("times", (len(counts),), dtype=h5py.vlen_dtype(np.float16))
    spikes.create_dataset("units", (len(counts),), dtype=h5py.vlen_dtype(np.uint16))
    for i in range(len(counts)):
        spikes["times"][i] = times[i]
        spikes["units"][i] = units[i]
    file["labels"] = labels
    extra = file.create_group("extra")
    extra["speaker"] = speakers
    extra["keys"] = np.array([b"null", b"eins"])
with open("layout.json", "w") as out:
    json.dump(
        [
            {"times": times[i].astype(float).tolist(), "units": units[i].tolist(), "label": int(labels[i]), "speaker": int(speakers[i])}
            for i in range(len(counts))
        ],
        out,
    )
