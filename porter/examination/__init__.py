"""The port beside the reference: computed, not yet explained or worded."""
