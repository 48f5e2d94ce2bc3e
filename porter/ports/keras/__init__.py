"""Ports that are Keras models: opened, cut into pieces, and built from a network."""
