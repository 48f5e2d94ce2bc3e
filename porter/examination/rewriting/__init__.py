"""Ports that compute the same function by another program."""
