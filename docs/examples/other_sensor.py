"""The same water as another sensor sees it: pixels of the fixtures' bio-optical model in bands of its own.

python docs/examples/other_sensor.py other_sensor.npz
"""

from __future__ import annotations

import sys

import numpy as np

sys.path.insert(0, "fixtures")
import bio_optics

BANDS = np.array([490.0, 510.0, 560.0, 620.0])  # nm

rng = np.random.default_rng(8)
low, high = bio_optics.INPUT_RANGE.T
x = low + (high - low) * rng.random((800, len(low)))
y = bio_optics.log_reflectance(x, BANDS)
np.savez(sys.argv[1], inputs=x, targets=y + 0.005 * rng.standard_normal(y.shape))
