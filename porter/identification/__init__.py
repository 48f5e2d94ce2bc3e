"""Finding out how a file is to be read: the search for what reproduces samples of the original software."""
