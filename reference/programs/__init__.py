"""One file per legacy program: the original's forward pass on its own arrays."""
