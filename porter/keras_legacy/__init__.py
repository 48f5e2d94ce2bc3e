"""Legacy Keras graphs: built anew for Keras 3, paired with a port, and judged layer by layer."""
