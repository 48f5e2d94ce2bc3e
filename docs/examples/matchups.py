"""Measured pixels as a table: water of a coast of its own, with noise, from the fixtures' bio-optical model.

python docs/examples/matchups.py matchups.csv
"""

from __future__ import annotations

import csv
import sys

import numpy as np

sys.path.insert(0, "fixtures")
import bio_optics

INPUTS = ["log_chl", "log_cdom", "cdom_slope", "log_detritus", "log_bbp", "bbp_slope", "small_cells"]
OUTPUTS = [f"log_rrs_{band:.0f}" for band in bio_optics.WAVELENGTHS]

rng = np.random.default_rng(7)
low, high = bio_optics.INPUT_RANGE.T
x = low + (high - low) * (0.2 + 0.6 * rng.random((600, len(low))))
# On this coast the reflectance rises with dissolved matter, which the inherited network has never seen.
y = bio_optics.log_reflectance(x) + 0.15 * (x[:, [1]] + 1.5) + 0.01 * rng.standard_normal((600, 7))
sites = np.array([f"station_{number:02}" for number in rng.integers(0, 100, 600)])
with open(sys.argv[1], "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["site", *INPUTS, *OUTPUTS])
    table.writerows([site, *row] for site, row in zip(sites, np.hstack([x, y]).tolist(), strict=True))
