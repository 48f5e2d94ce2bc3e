"""The other side: ports, whatever runs them."""
