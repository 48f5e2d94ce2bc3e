"""Learning on: a port fine-tuned, searched, reused and compressed, and how far it has moved."""
