"""The jobs where the network is a graph."""
