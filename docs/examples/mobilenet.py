"""A MobileNetV2 as people keep it: a legacy .h5, saved by Keras 2; and other images for its trunk to learn.

Its first blocks were trained on the digits 0 to 4, for nothing is downloaded here; the images are the digits 5 to 9.

python docs/examples/mobilenet.py mobilenet.h5 digits.npz
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import tf_keras
from sklearn.datasets import load_digits

warnings.simplefilter("ignore")  # Keras 2 warns of its own .h5
tf_keras.utils.set_random_seed(1)
digits = load_digits()
images = np.repeat(np.kron(digits.images / 8 - 1, np.ones((1, 4, 4)))[..., None], 3, axis=-1).astype(np.float32)
low = digits.target < 5

network = tf_keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, include_top=False)
for layer in network.layers:
    if isinstance(layer, tf_keras.layers.BatchNormalization):
        layer.momentum = 0.7  # of 0.999, a few steps would leave no trace
features = tf_keras.layers.GlobalAveragePooling2D()(network.get_layer("block_2_add").output)
classifier = tf_keras.Model(network.input, tf_keras.layers.Dense(5, "softmax")(features))
classifier.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
classifier.fit(images[low], digits.target[low], epochs=6, batch_size=64, verbose=0)
network.save(sys.argv[1])
np.savez_compressed(sys.argv[2], inputs=images[~low], targets=np.eye(5)[digits.target[~low] - 5])
