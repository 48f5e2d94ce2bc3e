"""Everything that a recipe can say, as one that could be read."""

from __future__ import annotations

from pathlib import Path

from porter.errors import UsageError

EXAMPLES = Path(__file__).parent / "recipes"
"""Recipes of families that porter reads without one, under the families' names."""

EXPLAINED = """\
# A recipe says where the arrays of a network lie in a file or a folder, and how they are to be read:
#     porter inspect FILE --write-recipe net.toml     writes one to begin with, whatever the file
#     porter port FILE --recipe net.toml -o net.keras reads by it
#     porter recipe --example canyon-med              shows the recipe of a family that is read without one, too
# Only the kernels have to be named. What is left out is made out from the shapes where they tell, else assumed and
# said to be; what stands here counts as declared by you. Unknown keys and wrong types are refused, each with its place.

version = 1                          # of this schema
name = "mystery"                     # what the network is called; the file's name where left out
# format = "oc-smart"                # whose conventions hold for what nobody says; a guess is a guess where left out
# kind = "aaNN"                      # of an OC-SMART network, for its physical transforms
# physical = true                    # whether the network begins and ends in physical units
# widths = "Layers"                  # an array that states the widths, to be checked against the kernels

# A name is the full name of an array, "group/member"; in a folder, the name of a file with its ending or without.
# In a text, lines are named by their numbers, "lines 3-7" or "line 8"; of a folder's text "W.txt/lines 2-6". A name in
# front of every row is passed over. Lines of which the last alone is shorter are one run of numbers, for a shape.
# A name may have a slice behind it, "all[0:7]" or "W[2, :, :]": first:end, one an axis, counted from 0.

# Of a file of nothing but numbers in binary, which is then the array "numbers"; or of a folder of such files, each of
# them an array under the file's name, "W1.bin". A slice and a shape take a kernel out: "numbers[0:112]".
#     [raw]
#     dtype = "float32"              # or "float16", "float64", "int16", "int32", "int64"
#     byte_order = "big"             # "little" where left out
#     skip = 512                     # bytes of a header
#     records = true                 # Fortran's unformatted records: the arrays "record 1", "record 2", ...

[[layers]]                           # one table a layer, in order of computation
kernel = "net/first/w"               # full name of its array
bias = "net/first/b"                 # left out where there is none
orientation = "inputs-first"         # or "units-first": which axis of the kernel comes first
# shape = [7, 16]                    # where the numbers are stored flat: the first axis first
# order = "Fortran"                  # labelled rows by columns, but written column by column; "C" where left out
activation = "leaky_relu(negative_slope=0.1)"

[[layers]]
kernel = "net/second"
bias_in = "first row"                # the bias stands in the kernel; or "last row", "first column", "last column"
orientation = "inputs-first"
activation = "linear"

# A rational function is an activation, too: coefficients of z, the lowest power first, up to z^9. This is
# (27 z + z^3) / (27 + 9 z^2); without a denominator it is a polynomial:
#     activation = {numerator = [0.0, 27.0, 0.0, 1.0], denominator = [27.0, 0.0, 9.0]}
# A table of entries takes the place of the activation; not beside takes, gain, temperature or format. For z between the
# arguments of two entries it gives the one "below", where left out, or the "nearest"; beyond them the first or last:
#     table = {values = "net/table", first = -5.0, last = 5.0, entry = "nearest"}

# A layer takes the layer before it, unless it says otherwise: a skip connection is a second one that it takes. Then the
# orientation and the activation of every layer have to be said, and there are no transforms, bounds or members:
#     [[layers]]
#     takes = ["layer 1", "inputs"]  # in this order; the inputs as the first layer takes them, which is scaled
#     merge = "concatenate"          # how several are made one; or "add", "multiply"
#     kernel = "net/third"           # without a kernel the layer is that sum, or what is side by side, alone
#     orientation = "inputs-first"
#     activation = "tanh"
# What goes into an activation may be multiplied or divided; the same has to be said then, and is not read beside:
#     temperature = 2.5              # softmax(z / 2.5)
#     gain = 0.5                     # or activation(0.5 z)

# Scaling: one rule for both ends and an array of pairs (n, 2), or written out as pairs ...
#     [scaling]
#     rule = "[-1,1]"                # or "[0,1]", "mean-std", "none"
#     input = "Norm_in"
#     output = [[0.0, 1.5], [-1.0, 2.0]]
# ... or two vectors for an end, by name, written out, or one number for all columns, with a rule of their own. Into the
# network's units it is factor * (x - centre) / width + low; out of them the same backwards:
[scaling.input]
rule = "[0,1]"                       # or "[-1,1]", "[0.1,0.9]", ... with minimum and maximum
minimum = "x_min"
maximum = "x_max"

[scaling.output]
rule = "mean-std"
mean = [0.5, -0.25]
std = [2.0, 4.0]                     # or variance = ...
# offset = "xoffset"                 # or an offset, and a gain by which the difference is multiplied
# gain = "gain"                      # a column that is not scaled has the offset 0 and the gain 1
# low = -1.0                         # added in the end: mapminmax has a minimum of -1; "[low,high]" says it itself
# factor = 0.6666666666666666        # what the quotient is multiplied by
# inverse = true                     # the formula is meant the other way round

# Functions of single columns before the scaling and behind it, one for all or a list:
#     [transforms]
#     input = ["cos_degrees", "log10", "identity"]
#     output = "pow10"               # powers also as "power 0.25", "root 4": 1/8, 1/4, 1/2, 2, 4 and 8 are read
# What the outputs are held to; without a tolerance all are clamped, beyond it they are flagged as NaN:
#     [bounds]
#     least = [0.0, 0.0]
#     greatest = "y_max"
#     tolerance = 0.2
# What the inputs are held to before anything else, in the units in which they are given; nothing is flagged there:
#     [bounds.input]
#     least = [0.0, 0.0, 280.0]
#     greatest = "x_max"
# Several networks made one: {i} in the names is the member; the orientation of every layer has to be said:
# Several outputs of members are averaged each; within one deviation there is one output a member. Functions of columns
# and bounds come behind the mean. A softmax, which goes over all units of a layer, is not read of members.
#     [ensemble]
#     members = 10                   # 1 to 10; or a list of what stands for {i}: ["F_1", "F_2", "G_1"];
#                                    # then {set} is F or G: the member without its number
#     rule = "mean"                  # or "mean within one deviation", "weighted mean"
#     weights = "w"                  # of a weighted mean
"""


def example_of(family: str) -> str:
    """The recipe by which files of a family could be read.

    Raises:
        UsageError: there is none; the message lists those that exist.
    """
    found = {path.stem: path for path in EXAMPLES.glob("*.toml")}
    if family not in found:
        raise UsageError(f"a recipe of {family!r}", expected=f"one of {', '.join(sorted(found))}")
    return found[family].read_text(encoding="utf-8")
