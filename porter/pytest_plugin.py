"""pytest plugin: parity as part of a regression suite."""
