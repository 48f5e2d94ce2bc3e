"""Networks of other families, as their own software writes them, with the formula beside them in plain NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

Weights = tuple[list[np.ndarray], list[np.ndarray]]


def weights(widths: Sequence[int], seed: int = 0, dtype: str = "float64") -> Weights:
    """Kernels (units, inputs) and biases (units,)."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(widths))
    kernels = [(rng.normal(size=(units, inputs)) / np.sqrt(inputs)).astype(dtype) for inputs, units in pairs]
    return kernels, [(0.3 * rng.normal(size=units)).astype(dtype) for _, units in pairs]


def forward(drawn: Weights, functions: Sequence[Callable[[np.ndarray], np.ndarray]], x: np.ndarray) -> np.ndarray:
    """Row by row products in float64."""
    for kernel, bias, function in zip(*drawn, functions, strict=True):
        x = function(x @ kernel.astype(np.float64).T + bias)
    return x


def words(values: np.ndarray) -> str:
    return " ".join(f"{float(value):.9g}" for value in np.ravel(values))


def write_fkb(path: Path, drawn: Weights, activations: Sequence[str], *, with_weights: bool = True) -> Path:
    """As ``convert_weights.py`` of the Fortran-Keras Bridge does."""
    kernels, biases = drawn
    lines = [f"input {kernels[0].shape[1]}"]
    for kernel, activation in zip(kernels, activations, strict=True):
        lines += [f"dense {len(kernel)}", activation]
    lines = [f"{len(lines)}", *lines, "0.001"]
    if with_weights:
        lines += [words(bias) for bias in biases] + [words(kernel) for kernel in kernels]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_rrtmgp(path: Path, drawn: Weights, activations: Sequence[str], seed: int = 0, power: str = "**8") -> Path:
    """As RTE-RRTMGP-NN's training does, without netCDF's own bookkeeping."""
    rng = np.random.default_rng(seed)
    kernels, biases = drawn
    inputs, outputs = kernels[0].shape[1], len(kernels[-1])
    low = rng.uniform(0.1, 1, inputs).astype("f4")
    with h5py.File(path, "w") as file:
        for n, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
            file[f"nn_weights_{n}"], file[f"nn_bias_{n}"] = kernel.T, bias
        file["nn_dimsize"] = np.array([len(kernel) for kernel in kernels], "i4")
        file["nn_activation"] = list(activations)
        file["nn_activation_char"] = np.array([list(name.ljust(32)) for name in activations], "S1")
        names = [("tlay", "play", "h2o", "o3")[n] if n < 4 else f"gas{n}" for n in range(inputs)]
        file["nn_inputs"] = np.array(names, "S8")
        file["nn_input_coeffs_min"] = low
        file["nn_input_coeffs_max"] = low + rng.uniform(1, 2, inputs).astype("f4")
        file["nn_output_coeffs_mean"] = rng.uniform(0.1, 0.5, outputs).astype("f4")
        file["nn_output_coeffs_std"] = rng.uniform(0.01, 0.1, outputs).astype("f4")
        file.attrs["input_scaling_info"] = np.bytes_("x(i) = log(x(i)) for i=pressure; x(i) = x(i)**(1/4) for i=H2O")
        file.attrs["output_scaling_info"] = np.bytes_(f"y(igpt,j) = y(igpt,j){power}")
    return path


def write_ffbp(path: Path, drawn: Weights, ranges: Sequence[np.ndarray]) -> Path:
    """As ffbp saves a network; ``ranges`` are (n, 2) of the inputs and of the outputs."""
    kernels, biases = drawn
    planes = [kernels[0].shape[1], *(len(kernel) for kernel in kernels)]
    lines = ["problem: somewhere/else", "saved at Mon Jun 16 16:52:24 2014", "", f"the net has {planes[0]} inputs:"]
    lines += [f"input {n + 1:2} is x{n} in [0.0,1.0]" for n in range(planes[0])]
    lines += ["ranges repeated for easier input", "#"]
    for pairs in ranges:
        lines += [str(len(pairs)), *(f"{low:.6f} {high:.6f}" for low, high in pairs)]
    lines += ["$", f"#planes={len(planes)} {' '.join(map(str, planes))}"]
    for n, bias in enumerate(biases, start=1):
        lines += [f"bias {n} {len(bias)}", *(f"{value:.6f}" for value in bias)]
    for n, kernel in enumerate(kernels):
        lines += [f"wgt {n} {planes[n]} {planes[n + 1]}", *(f"{value:.6f}" for value in kernel.ravel())]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_sl2p(folder: Path, seed: int = 0, extremes: Sequence[float] | None = (0.2, 0, 8)) -> Path:
    """One folder of SL2P: a file an array, without suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    (first, second), (hidden, last) = weights((4, 5, 1), seed)
    arrays = {
        "Normalisation": [[0, 0.25], [0.01, 0.6], [-1, 1], [0.3, 0.9]],
        "Weights_Layer1_Neurons": first,
        "Weights_Layer1_Bias": hidden,
        "Weights_Layer2_Neurons": second,
        "Weights_Layer2_Bias": last,
        "Denormalisation": [[0.0003, 14.4]],
        "TestCases": [[0.1, 0.2, 0.3, 0.4, 5.0]],
    }
    if extremes is not None:
        arrays["ExtremeCases"] = [extremes]
    for name, rows in arrays.items():
        lines = [",".join(f"{float(value):.12g}" for value in np.atleast_1d(row)) for row in np.atleast_2d(rows)]
        (folder / f"{folder.name}_{name}").write_text("\n".join(lines) + "\n")
    return folder


def write_canyon(folder: Path, variables: Sequence[str] = ("nit",), sets: Sequence[str] = (), members: int = 4) -> Path:
    """One folder of CANYON-MED: a text file a matrix; two sets have means and deviations of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(variables) + len(sets))
    for variable in variables:
        for group in sets or ("",):
            ending = f"{variable}_{group}".rstrip("_")
            np.savetxt(folder / f"moy_{ending}.txt", rng.normal(size=(1, 4)))
            np.savetxt(folder / f"std_{ending}.txt", rng.uniform(0.5, 2, size=(1, 4)))
            for number in range(1, members + 1):
                kernels, biases = weights((3, 5, 5, 1), int(rng.integers(1000)))
                own = f"{group}_{number}".lstrip("_")
                for name, array in zip(("IW", "LW1", "LW2", "b1", "b2", "b3"), (*kernels, *biases), strict=True):
                    np.savetxt(folder / f"poids_{variable}_{name}_{own}.txt", np.atleast_2d(array.T).T)
    return folder


def matlab(values: np.ndarray) -> str:
    """A matrix as MATLAB prints one."""
    rows = [" ".join(repr(float(value)) for value in row) for row in np.atleast_2d(values)]
    return rows[0] if np.size(values) == 1 else f"[{';'.join(rows)}]"


MATLAB_FUNCTIONS = {
    "tansig": ("2 ./ (1 + exp(-2*n)) - 1",),
    "logsig": ("1 ./ (1 + exp(-n))",),
    "poslin": ("max(0,n)", "nan"),
    "satlin": ("max(0,min(1,n))", "nan"),
    "satlins": ("max(-1,min(1,n))", "nan"),
}
MATLAB_SOFTMAX = """
function a = softmax_apply(n,~)
  if isa(n,'gpuArray')
    a = iSoftmaxApplyGPU(n);
  else
    a = iSoftmaxApplyCPU(n);
  end
end
function a = iSoftmaxApplyCPU(n)
  nmax = max(n,[],1);
  n = bsxfun(@minus,n,nmax);
  numerator = exp(n);
  denominator = sum(numerator,1);
  denominator(denominator == 0) = 1;
  a = bsxfun(@rdivide,numerator,denominator);
end"""


def write_matlab(
    path: Path, drawn: Weights, transfers: Sequence[str], *, ends: str = "ymin", dots: str = ".", level: float = -1
) -> Path:
    """As genFunction does; ``ends`` is the setting of mapminmax or mapstd, ``dots`` what older versions write apart."""
    kernels, biases = drawn
    rng = np.random.default_rng(5)
    lines = ["function [Y,Xf,Af] = myNeuralNetworkFunction(X,~,~)", "%MYNEURALNETWORKFUNCTION simulation function."]
    lines += ["", "% ===== NEURAL NETWORK CONSTANTS =====", "", "% Input 1"]
    for end, width in (("x", kernels[0].shape[1]), ("y", len(kernels[-1]))):
        settings = {"xoffset": rng.normal(size=(width, 1)), "gain": rng.uniform(0.5, 2, (width, 1))}
        lines += [f"{end}1_step1{dots}{key} = {matlab(value)};" for key, value in settings.items()]
        lines += [f"{end}1_step1{dots}{ends} = {level!r};", ""]
    for n, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
        name = "IW1_1" if n == 1 else f"LW{n}_{n - 1}"
        lines += [f"% Layer {n}", f"b{n} = {matlab(bias[:, None])};", f"{name} = {matlab(kernel)};", ""]
    kind = "mapminmax" if ends == "ymin" else "mapstd"
    keys = ("_gain", "_xoffset", f"_{ends}") if dots == "_" else ("",)
    x, y, own = (",".join(f"{name}{key}" for key in keys) for name in ("x1_step1", "y1_step1", "settings"))
    lines += ["% ===== SIMULATION ========", "isCellX = iscell(X);", "if ~isCellX", "  X = {X};", "end"]
    lines += [
        "TS = size(X,2); % timesteps",
        "if ~isempty(X)",
        "  Q = size(X{1},2); % samples/series",
        "else",
        "  Q = 0;",
    ]
    lines += ["end", "Y = cell(1,TS);", "for ts=1:TS", f"    Xp1 = {kind}_apply(X{{1,ts}},{x});"]
    for n, transfer in enumerate(transfers, start=1):
        taken = "IW1_1*Xp1" if n == 1 else f"LW{n}_{n - 1}*a{n - 1}"
        inner = f"repmat(b{n},1,Q) + {taken}"
        lines.append(f"    a{n} = {inner};" if transfer == "purelin" else f"    a{n} = {transfer}_apply({inner});")
    lines += [f"    Y{{1,ts}} = {kind}_reverse(a{len(transfers)},{y});", "end"]
    lines += ["Xf = cell(1,0);", f"Af = cell({len(transfers)},0);", "if ~isCellX", "  Y = cell2mat(Y);", "end", "end"]
    lines += ["% ===== MODULE FUNCTIONS ========", f"function y = {kind}_apply(x,{own})"]
    setting = f"settings{dots}"
    lines += [f"  y = bsxfun(@minus,x,{setting}xoffset);", f"  y = bsxfun(@times,y,{setting}gain);"]
    lines += [f"  y = bsxfun(@plus,y,{setting}{ends});", "end", f"function x = {kind}_reverse(y,{own})"]
    lines += [f"  x = bsxfun(@minus,y,{setting}{ends});", f"  x = bsxfun(@rdivide,x,{setting}gain);"]
    lines += [f"  x = bsxfun(@plus,x,{setting}xoffset);", "end"]
    for transfer in dict.fromkeys(transfers):
        if transfer in MATLAB_FUNCTIONS:
            formula, *nan = MATLAB_FUNCTIONS[transfer]
            lines += [f"function a = {transfer}_apply(n,~)", f"  a = {formula};"]
            lines += [*(f"  a(isnan(n)) = {each};" for each in nan), "end"]
    lines += MATLAB_SOFTMAX.splitlines() if "softmax" in transfers else []
    path.write_text("\n".join(lines) + "\n")
    return path


def write_fann(
    path: Path, drawn: Weights, functions: Sequence[int], steepness: Sequence[float], *, shuffled: bool = False
) -> Path:
    """As ``fann_save`` does; a bias neuron closes every layer."""
    kernels, biases = drawn
    sizes = [kernels[0].shape[1] + 1, *(len(kernel) + 1 for kernel in kernels)]
    neurons, connections, start = ["(0, 0, 0.00e+00)"] * sizes[0], [], 0
    rng = np.random.default_rng(0)
    for kernel, bias, function, slope in zip(kernels, biases, functions, steepness, strict=True):
        for row, own in zip(kernel, bias, strict=True):
            neurons.append(f"({len(row) + 1}, {function}, {slope:.20e})")
            each = [f"({start + n}, {value:.20e})" for n, value in enumerate([*row, own])]
            connections += rng.permutation(each).tolist() if shuffled else each
        neurons.append("(0, 0, 0.00e+00)")
        start += kernel.shape[1] + 1
    lines = ["FANN_FLO_2.1", f"num_layers={len(sizes)}", "learning_rate=0.7", "network_type=0", "scale_included=0"]
    lines.insert(4, f"layer_sizes={' '.join(map(str, sizes))} ")
    lines.append(f"neurons (num_inputs, activation_function, activation_steepness)={' '.join(neurons)} ")
    lines.append(f"connections (connected_to_neuron, weight)={' '.join(connections)} ")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_snns(
    path: Path, drawn: Weights, functions: Sequence[str], *, default: str = "Act_Logistic", shuffled: bool = False
) -> Path:
    """As krui_saveNet does; ``shuffled`` gives units any numbers and connections any order."""
    kernels, biases = drawn
    rng = np.random.default_rng(0)
    widths = [kernels[0].shape[1], *(len(kernel) for kernel in kernels)]
    total = sum(widths)
    # Units of a layer keep their order: it is that of the inputs and of the outputs.
    layer_of = np.repeat(np.arange(len(widths)), widths)
    if shuffled:
        layer_of = rng.permutation(layer_of)
    numbers = [np.flatnonzero(layer_of == n) + 1 for n in range(len(widths))]
    units, lines = {}, []
    for n, own in enumerate(numbers):
        for place, number in enumerate(own):
            kind = "i" if n == 0 else "o" if n == len(kernels) else "h"
            bias = biases[n - 1][place] if n else 0.25
            tail = "||" if not n or functions[n - 1] == default else f" {functions[n - 1]:<12} |          | "
            units[number] = f"{number:3} |          | u{number} |  0.00000 | {bias:8.5f} | {kind}  |  1, 2, 0 |{tail}"
    for n, kernel in enumerate(kernels):
        for target, row in zip(numbers[n + 1], kernel, strict=True):
            each = [f"{source:3}:{weight:8.5f}" for source, weight in zip(numbers[n], row, strict=True)]
            each = rng.permutation(each).tolist() if shuffled else each
            cut = [", ".join(each[start : start + 4]) for start in range(0, len(each), 4)]
            lines.append(f"{target:6} |      | " + ",\n                ".join(cut))
    lines = rng.permutation(lines).tolist() if shuffled else lines
    rule = "----|----------|----------|----------|----------|----|----------|----------|----------|-------"
    head = ["SNNS network definition file V1.4-3D", "generated at Mon Apr 25 15:58:28 1994", "", "network name : made"]
    head += ["source files :", f"no. of units : {total}", f"no. of connections : {sum(k.size for k in kernels)}"]
    head += ["no. of unit types : 0", "no. of site types : 0", "", "", "learning function : Std_Backpropagation"]
    head += ["update function   : Topological_Order", "", "", "unit default section :", ""]
    head += [
        "act      | bias     | st | subnet | layer | act func     | out func",
        "---------|----------|----|--------",
    ]
    head += [f" 0.00000 |  0.00000 | h  |      0 |     1 | {default} | Out_Identity ", "---------|----------|----|---"]
    head += ["", "", "unit definition section :", ""]
    head += ["no. | typeName | unitName | act      | bias     | st | position | act func | out func | sites", rule]
    head += [units[number] for number in sorted(units)] + [rule, "", "", "connection definition section :", ""]
    head += ["target | site | source:weight", "-------|------|-----", *lines, "-------|------|-----"]
    path.write_text("\n".join(head) + "\n")
    return path


def write_neural_fortran(path: Path, drawn: Weights, activations: Sequence[str] | None) -> Path:
    """As ``net % save`` does, compiled by gfortran: (inputs, units) column by column, as many on a line as fit."""
    kernels, biases = drawn
    single = kernels[0].dtype == np.float32
    sizes = [kernels[0].shape[1], *(len(kernel) for kernel in kernels)]

    def record(values: np.ndarray) -> list[str]:
        shown = [f"{float(value):#.{9 if single else 17}g}".ljust(17 if single else 25) for value in np.ravel(values)]
        each = 4 if single else 3
        return ["   " + "".join(shown[start : start + each]) for start in range(0, len(shown), each)]

    lines = [f"{len(sizes):12}"]
    lines += ["".join(f"{size:12}" for size in sizes[start : start + 6]) for start in range(0, len(sizes), 6)]
    if activations is not None:
        lines += [f"{number:12} {name}" for number, name in enumerate(("sigmoid", *activations), start=1)]
    for bias in biases:
        lines += record(bias)
    for kernel in kernels:
        lines += record(np.asfortranarray(kernel.T).ravel(order="F"))
    path.write_text("\n".join(lines) + "\n")
    return path


def wires(drawn: Weights, names: Sequence[Sequence[str]], bias: str) -> list[tuple[str, str, float]]:
    """Source, target and weight of each connection, unit by unit, the bias first; ``names`` has the inputs' first."""
    found = []
    for n, (kernel, offsets) in enumerate(zip(*drawn, strict=True)):
        for target, row, offset in zip(names[n + 1], kernel, offsets, strict=True):
            found += [(source, target, float(w)) for source, w in zip((bias, *names[n]), (offset, *row), strict=True)]
    return found


def write_r_nnet(path: Path, drawn: Weights, *, printed: bool = False) -> Path:
    """As ``write.csv(coef(fit))`` does, or ``write.table(coef(fit), col.names = FALSE, quote = FALSE)``."""
    (first, last), _ = drawn
    outputs = ["o"] if len(last) == 1 else [f"o{n + 1}" for n in range(len(last))]
    names = [[f"i{n + 1}" for n in range(first.shape[1])], [f"h{n + 1}" for n in range(len(first))], outputs]
    rows = [(f"{source}->{target}", f"{weight:.15g}") for source, target, weight in wires(drawn, names, "b")]
    lines = [f"{name} {word}" for name, word in rows] if printed else [f'"{name}",{word}' for name, word in rows]
    path.write_text("\n".join(lines if printed else ['"","x"', *lines]) + "\n")
    return path


def nnet_arrays(drawn: Weights) -> dict[str, np.ndarray]:
    """What a fit has: ``n``, ``wts``, and where each weight comes from, as ``norm.net`` numbers it."""
    kernels, biases = drawn
    sizes = [kernels[0].shape[1], *(len(kernel) for kernel in kernels)]
    rows = [np.column_stack([bias, kernel]) for kernel, bias in zip(kernels, biases, strict=True)]
    starts = [0, *np.cumsum(sizes)]
    sources = [np.tile([0, *range(starts[n] + 1, starts[n + 1] + 1)], len(row)) for n, row in enumerate(rows)]
    counts = np.repeat([row.shape[1] for row in rows], sizes[1:])
    return {
        "n": np.array(sizes),
        "wts": np.concatenate([row.ravel() for row in rows]),
        "conn": np.concatenate(sources),
        "nconn": np.concatenate([np.zeros(sizes[0] + 2, int), np.cumsum(counts)]),
    }


def write_r_neuralnet(path: Path, drawn: Weights, *, printed: bool = False) -> Path:
    """As ``write.csv(nn$result.matrix)`` does, or as it is printed."""
    kernels, _ = drawn
    names = [["age", "wind.tail", "x.to.y" if len(kernels) > 1 else "x", "z"][: kernels[0].shape[1]]]
    names += [[f"{n}layhid{k + 1}" for k in range(len(kernel))] for n, kernel in enumerate(kernels[:-1], start=1)]
    names += [[f'Species == "{n}"' for n in range(len(kernels[-1]))]]
    rows = [("error", "2.5"), ("reached.threshold", "0.009"), ("steps", "660")]
    listed = wires(drawn, names, "Intercept")
    rows += [(f"{source}.to.{target}", f"{weight:.15g}") for source, target, weight in listed]
    widest = max(len(name) for name, _ in rows)
    if printed:
        lines = [" " * widest + " [,1]", *(f"{name:<{widest}} {word:>20}" for name, word in rows)]
    else:
        lines = ['"","V1"', *(f'"{name.replace(chr(34), chr(34) * 2)}",{word}' for name, word in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_connections(path: Path, drawn: Weights, *, layered: bool = False, shuffled: bool = False) -> Path:
    """A connection a line, under a heading."""
    kernels, _ = drawn
    widths = [kernels[0].shape[1], *(len(kernel) for kernel in kernels)]
    stems = ["x", *(f"layer{n}_" for n in "abcdefgh"[: len(widths) - 2]), "y"]
    names = [
        [f"{'' if layered else stem}{n + 1}" for n in range(width)] for stem, width in zip(stems, widths, strict=True)
    ]
    lines = []
    for n in range(len(kernels)):
        one = ([kernels[n]], [drawn[1][n]])
        for source, target, weight in wires(one, names[n : n + 2], "bias"):
            before = (f"{n + 1}", source, target) if layered else (source, target)
            lines.append(",".join((*before, f"{weight:.17g}")))
    if shuffled:
        lines = np.random.default_rng(0).permutation(lines).tolist()
    heading = "layer,from,to,weight" if layered else "from,to,weight"
    path.write_text("\n".join([heading, *lines]) + "\n")
    return path
