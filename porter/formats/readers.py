"""The families that exist, registered in the order in which they are asked."""

from __future__ import annotations

from porter.formats import by_recipe, keras_hint, oc_smart
from porter.formats.arrays import reader as arrays
from porter.formats.canyon_med import reader as canyon_med
from porter.formats.connections import reader as connections
from porter.formats.fann import reader as fann
from porter.formats.ffbp import reader as ffbp
from porter.formats.fkb import reader as fkb
from porter.formats.keras_legacy import reader as keras_legacy
from porter.formats.matlab import reader as matlab
from porter.formats.neural_fortran import reader as neural_fortran
from porter.formats.r_neuralnet import reader as r_neuralnet
from porter.formats.r_nnet import reader as r_nnet
from porter.formats.registry import FAMILIES, Family, family_named, family_of, register
from porter.formats.rrtmgp import reader as rrtmgp
from porter.formats.sl2p import reader as sl2p
from porter.formats.snns import reader as snns

# Keras leaves marks of its own, so it is asked first.
register(keras_legacy.READER)
register(keras_hint.READER)
register(oc_smart.READER)
register(rrtmgp.READER)
register(fkb.READER)
register(ffbp.READER)
register(matlab.READER)
register(fann.READER)
register(snns.READER)
register(neural_fortran.READER)
register(r_nnet.READER)
register(r_neuralnet.READER)
register(connections.READER)
register(sl2p.READER)
register(canyon_med.READER)
# What only the names tell comes last, and what only the user tells is never asked.
register(arrays.READER)
register(by_recipe.READER)

__all__ = ["FAMILIES", "Family", "family_named", "family_of", "register"]
