"""CANYON-MED: ensembles of networks, one text file a matrix."""
