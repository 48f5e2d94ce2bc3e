"""Neural networks of RTE-RRTMGP-NN in netCDF-4."""
