"""One result model, several renderers."""
