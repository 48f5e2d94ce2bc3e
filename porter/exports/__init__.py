"""Formats that a network is written in beside Keras' own: each is run by its own runtime, and judged."""
