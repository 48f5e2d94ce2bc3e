"""Keras 1 and 2 files, read without TensorFlow and without running anything in them."""
