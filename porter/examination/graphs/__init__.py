"""The examination of ports of graphs, whose layers have names and any shape."""
