"""nnet's fits: coefficients by name, and ``n`` and ``wts`` in every container."""

from __future__ import annotations

import gzip

import h5py
import numpy as np
import pytest
from scipy.io import savemat

import porter
from porter.errors import (
    DamagedFileError,
    DuplicateMemberError,
    KernelShapeError,
    MissingMemberError,
    NonFiniteError,
    OptionContradictionError,
    StoredTypeError,
    TruncatedFileError,
    UnknownFormatError,
    UnknownMemberError,
)
from porter.formats.programs import build_program
from tests.formats.families import forward, nnet_arrays, weights, write_r_nnet

SMALL = """\
"","x"
"b->h1",0.5
"i1->h1",-0.25
"i2->h1",0.75
"b->h2",0.1
"i1->h2",0.2
"i2->h2",0.3
"b->o",-1
"h1->o",2
"h2->o",-3
"""


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def rows(width=4):
    return np.random.default_rng(0).normal(size=(40, width))


def evidence(network):
    return [claim.evidence for claim in network.claims if claim.convention == "activation"]


@pytest.mark.parametrize("printed", [False, True])
@pytest.mark.parametrize("widths", [(4, 12, 3), (4, 5, 1), (11, 2)])
def test_coefficients_by_name(tmp_path, printed, widths):
    drawn = weights(widths)
    if len(widths) == 2:  # no hidden units: from the inputs to the outputs, as multinom does
        path = tmp_path / "coef.csv"
        lines = [f"b->o{n + 1} {b:.17g}" for n, b in enumerate(drawn[1][0])]
        lines += [f"i{k + 1}->o{n + 1} {w:.17g}" for n, row in enumerate(drawn[0][0]) for k, w in enumerate(row)]
        path.write_text("\n".join(lines) + "\n")
    else:
        path = write_r_nnet(tmp_path / "coef.csv", drawn, printed=printed)
    network = porter.read(path)
    wanted = forward(drawn, [logistic] * (len(widths) - 1), rows(widths[0]))
    np.testing.assert_allclose(build_program(network)(rows(widths[0]))[0], wanted, rtol=0, atol=1e-13)
    assert (network.family, network.widths) == ("r-nnet", widths)
    assert set(evidence(network)) == {"assumed"}
    assert {str(layer.activation) for layer in network.layers} == {"cut_sigmoid"}


@pytest.fixture
def steep(tmp_path):
    """A fit whose units reach beyond 15 on both sides, and rows that do it."""
    path = tmp_path / "coef.csv"
    path.write_text(SMALL.replace("0.75", "75").replace(",-3", ",-30"))
    return path, np.array([[0.3, 0.7], [0.3, -0.7], [2.0, 0.05], [-2.0, 0.19]])


def test_beyond_15_the_logistic_function_is_cut_off(steep):
    path, x = steep

    def cut(z):
        return np.where(z < -15, 0.0, np.where(z > 15, 1.0, logistic(z)))

    def network(function):
        first, second = function(0.5 - 0.25 * x[:, 0] + 75 * x[:, 1]), function(0.1 + 0.2 * x[:, 0] + 0.3 * x[:, 1])
        return function(-1 + 2 * first - 30 * second)[:, None]

    found = build_program(porter.read(path))(x)[0]
    np.testing.assert_array_equal(found == 0, network(cut) == 0)
    assert np.any(found == 0)
    np.testing.assert_allclose(found, network(cut), rtol=1e-13)
    exact = porter.read(path, exact_activations=True)
    np.testing.assert_allclose(build_program(exact)(x)[0], network(logistic), rtol=1e-13)
    assert np.max(np.abs(found - network(logistic))) > 1e-9
    assert any("up to 3.1e-7" in claim.detail for claim in exact.claims)
    with pytest.raises(OptionContradictionError):
        porter.read(path, exact_activations=True, activation="tanh")


@pytest.mark.usefixtures("keras")
def test_a_port_keeps_the_cut(steep, tmp_path):
    path, _ = steep
    report = porter.port(path, tmp_path / "net.keras", dtype="float64", search=False)
    assert report.verdict == "parity", str(report)
    smooth = porter.build(porter.read(path, exact_activations=True), dtype="float64")
    wrong = porter.verify(path, smooth, search=False)
    assert wrong.verdict == "mismatch" and wrong.findings[0].code == "activation.replaced", str(wrong)
    assert porter.verify(porter.read(path, exact_activations=True), smooth, search=False).verdict == "parity"


def test_sorted_by_name_it_is_the_same(tmp_path):
    path = write_r_nnet(tmp_path / "coef.csv", weights((4, 12, 11)), printed=True)
    wanted = build_program(porter.read(path))(rows())[0]
    path.write_text(
        "".join(sorted(path.read_text().splitlines(keepends=True), key=lambda line: (line[0] != "b", line)))
    )
    np.testing.assert_array_equal(build_program(porter.read(path))(rows())[0], wanted)


@pytest.fixture
def stored(tmp_path):
    def write(arrays, kind="npz"):
        path = tmp_path / f"fit.{kind}"
        if kind == "npz":
            np.savez(path, **arrays)
        elif kind == "mat":
            savemat(path, arrays)
        elif kind == "h5":
            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
        else:
            path = tmp_path / "fit"
            path.mkdir()
            for name, array in arrays.items():
                np.savetxt(path / f"{name}.txt", array)
        return path

    return write


@pytest.mark.parametrize("kind", ["npz", "mat", "h5", "folder"])
def test_arrays_of_a_fit(stored, kind):
    drawn = weights((4, 6, 3))
    arrays = {name: array for name, array in nnet_arrays(drawn).items() if name in ("n", "wts")}
    network = porter.read(stored(arrays, kind))
    wanted = forward(drawn, [logistic] * 2, rows())
    np.testing.assert_allclose(build_program(network)(rows())[0], wanted, rtol=0, atol=1e-13)
    assert (network.family, network.widths, evidence(network)) == ("r-nnet", (4, 6, 3), ["assumed"] * 2)


@pytest.mark.parametrize(
    ("further", "function", "told"),
    [
        ({"nsunits": 14, "softmax": False}, logistic, ["declared", "declared"]),
        ({"nsunits": 11, "softmax": False}, lambda x: x, ["declared", "declared"]),
        ({"nsunits": 11.0, "softmax": True}, softmax, ["declared", "declared"]),
        ({"nsunits": 14}, logistic, ["declared", "declared"]),
        ({"nsunits": 11}, lambda x: x, ["declared", "assumed"]),
        ({"softmax": 1}, softmax, ["assumed", "declared"]),
        ({"softmax": 0}, logistic, ["assumed", "assumed"]),
    ],
)
def test_what_a_fit_says_of_its_outputs(stored, further, function, told):
    drawn = weights((4, 6, 3))
    network = porter.read(stored({**nnet_arrays(drawn), **further}))
    np.testing.assert_allclose(
        build_program(network)(rows())[0], forward(drawn, [logistic, function], rows()), rtol=0, atol=1e-13
    )
    assert evidence(network) == told
    others = {claim.evidence for claim in network.claims if claim.convention != "activation"}
    assert others == {"declared"}, "conn says which weight is whose"


@pytest.mark.usefixtures("keras")
def test_a_softmax_is_ported(stored, tmp_path):
    path = stored({**nnet_arrays(weights((4, 6, 3))), "nsunits": 11, "softmax": True})
    report = porter.port(path, tmp_path / "port.keras", search=False)
    assert report.verdict == "parity" and report.links["reading"] == "declared"


def test_linear_outputs_are_declared(tmp_path):
    path = tmp_path / "coef.csv"
    path.write_text(SMALL)
    network = porter.read(path, output_activation="linear")
    first, second = logistic(0.5 - 0.25 * 0.3 - 0.75 * 0.7), logistic(0.1 + 0.2 * 0.3 - 0.3 * 0.7)
    found = build_program(network)(np.array([[0.3, -0.7]]))[0]
    np.testing.assert_allclose(found, [[-1 + 2 * first - 3 * second]], rtol=1e-14)


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ('"i2->h2",0.3\n', "", MissingMemberError, "from 'i2' to 'h2'"),
        ('"b->h2",0.1\n', "", MissingMemberError, "the bias of 'h2'"),
        ('"b->h1",0.5', '"b->h1",0.5,0.6', DamagedFileError, "a name and one number"),
        ('"b->h1",0.5', '"b->h1";0,5', DamagedFileError, "write.csv in the place of write.csv2"),
        ('"b->o",-1\n', "", MissingMemberError, "a layer without biases"),
        ('"b->h2",0.1\n', '"b->h1",0.1\n', DuplicateMemberError, "two biases of 'h1'"),
        ('"i2->h2",0.3\n', '"i1->h2",0.3\n', DuplicateMemberError, "two connections from 'i1' to 'h2'"),
        ('"i2->h2",0.3\n', '"i2->h2",0.3\n"i1->o",1\n', UnknownMemberError, "past a layer"),
        ('"i2->h', '"i3->h', MissingMemberError, "'i2' too"),
        (SMALL[SMALL.index('"b->o"') :], "", MissingMemberError, "no unit o"),
        ("->o", "->o2", MissingMemberError, "'o1' too"),
        ('"h2->o"', '"h2->o2"', MissingMemberError, "'o1' too"),
        ('"h2->o"', '"h2-o"', DamagedFileError, "no connection of nnet's"),
        ('"h2->o"', '"h02->o"', DamagedFileError, "no connection of nnet's"),
        ('"h2->o",-3', '"h2->o",-3,4', DamagedFileError, "a name and one number"),
        ('"h2->o",-3', '"h2->o",NA', DamagedFileError, "no number"),
        ('"h2->o",-3', '"h2->o",Inf', NonFiniteError, "no numbers"),
        ("-3\n", "-3", TruncatedFileError, "ends within a line"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, error, says):
    assert old in SMALL
    path = tmp_path / "coef.csv"
    path.write_text(SMALL.replace(old, new))
    with pytest.raises(error, match=says):
        porter.read(path)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"n": [4, 6]}, DamagedFileError, "inputs, hidden units and outputs"),
        ({"n": [4, 6, 0]}, DamagedFileError, "inputs, hidden units and outputs"),
        ({"n": [4, 6, -3]}, StoredTypeError, "no counts"),
        ({"n": [4, 6, np.nan]}, StoredTypeError, "no counts"),
        ({"n": [4, 6, 10**9]}, DamagedFileError, "inputs, hidden units and outputs"),
        ({"n": [4, 5, 3]}, KernelShapeError, "does not fit"),
        ({"wts": np.ones(51 + 12)}, UnknownMemberError, "skip-layer"),
        ({"wts": np.full(51, np.inf)}, NonFiniteError, "no numbers"),
        ({"wts": np.ones(51, int)}, StoredTypeError, "floats"),
        ({"conn": np.zeros(51, int)}, UnknownMemberError, "'conn'"),
        ({"nconn": np.zeros(15, int)}, UnknownMemberError, "'nconn'"),
        ({"nsunits": 13}, DamagedFileError, "'nsunits'"),
        ({"nsunits": [14, 14]}, DamagedFileError, "one number each"),
        ({"nsunits": 14, "softmax": 1}, DamagedFileError, "'softmax'"),
    ],
)
def test_arrays_that_do_not_fit(stored, change, error, says):
    with pytest.raises(error, match=says):
        porter.read(stored({**nnet_arrays(weights((4, 6, 3))), **change}))


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("to follow\n", MissingMemberError, "no numbers called 'wts'"),
        ('"x"\n"1",0.5\n', DamagedFileError, "wts.txt is not one matrix"),
    ],
)
def test_a_folder_whose_files_hold_no_numbers_alone(stored, text, error, says):
    path = stored({name: array for name, array in nnet_arrays(weights((4, 6, 3))).items() if name in ("n", "wts")}, "")
    (path / "wts.txt").write_text(text)
    with pytest.raises(error, match=says):
        porter.read(path)


def test_what_else_a_fit_has_does_not_matter(stored):
    path = stored({**nnet_arrays(weights((4, 6, 3))), "call": np.array("nnet(y ~ x)"), "residuals": np.ones((5, 3))})
    assert porter.read(path).widths == (4, 6, 3)


@pytest.mark.parametrize("packed", [gzip.compress, bytes])
@pytest.mark.parametrize("start", [b"X\n\0\0\0\3", b"RDX3\nX\n"])
def test_objects_of_r_are_refused_with_what_to_export(tmp_path, start, packed):
    path = tmp_path / "fit.bin"
    path.write_bytes(packed(start + bytes(100)))
    for ask in (porter.read, porter.infer):
        with pytest.raises(UnknownFormatError, match=r"saveRDS(.*\n)+.*write\.csv"):
            ask(path)
    path.write_bytes(packed(b"other" + bytes(100)))
    with pytest.raises(UnknownFormatError, match="of no known format"):
        porter.read(path)
