"""The Simplified Level 2 Prototype Processor: one folder a variable, one comma-separated file an array."""
