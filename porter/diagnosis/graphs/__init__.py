"""Causes of differences in ports of graphs."""
