"""C, Fortran and NumPy files: right in every layer, wrong ones found when they are edited by hand, refused by name."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import porter
from porter.errors import OutputExistsError, PortError, UnbuildableError, UsageError
from porter.exports import c, c_text, fortran_text
from porter.exports.formats import format_named
from reference.operations.transforms import FUNCTIONS as TRANSFORMS
from tests.exports.networks import ACTIVATIONS, WIDTHS, small, with_transforms, write_hdf5

SUFFIXES = {"c": ".c", "fortran": ".f90", "numpy": ".py"}
EVERY = [
    "tanh", "relu(max_value=1.5,negative_slope=0.1,threshold=0.05)", "sigmoid", "softsign", "softplus",
    "elu(alpha=0.7)", "selu", "gelu", "gelu_tanh", "silu", "mish", "hard_sigmoid", "hard_sigmoid_keras2", "hard_tanh",
    "scaled_tanh", "leaky_relu", "relu6", "relu", "softmax", "thresholded_relu(theta=0.1)", "exponential", "linear",
    "cut_sigmoid",
]  # fmt: skip


def needs(language):
    commands = {"c": ("cc", "gcc", "clang"), "fortran": ("gfortran", "flang", "ifx", "ifort")}.get(language)
    if commands is not None and not any(shutil.which(each) for each in commands):
        pytest.skip(f"no compiler of {language} here: none of {', '.join(commands)}")


@pytest.fixture(params=SUFFIXES)
def language(request):
    needs(request.param)
    return request.param


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return small(tmp_path_factory.mktemp("networks"))


MADE = {}
"""Programs that were written and judged once, by network, language and options; the network keeps its identity."""


def written(network, folder, language, **options):
    path, key = folder / f"net{SUFFIXES[language]}", (id(network), language, *options.items())
    if key in MADE:
        path.write_bytes(MADE[key][0])
        return path, MADE[key][1]
    report = porter.export(network, path, **options)
    assert report.verdict == "parity", str(report)
    MADE[key] = path.read_bytes(), report, network
    return path, report


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_every_activation(tmp_path, language, precision):
    widths = (5, *[6] * (len(EVERY) - 1), 4)
    network = porter.read(write_hdf5(tmp_path / "all_Lrc_aaNN.h5", widths), activation=EVERY)
    _, report = written(network, tmp_path, language, precision=precision)
    assert len(report.layers) == len(EVERY) + 2
    assert {row.dtype for row in report.layers} == {precision}
    assert "arrays of" in report.link_notes["export"]


FAMILIES = {
    "FAPAR": {}, "canyon": {}, "ffbp_7x7.net": {"exact_activations": True}, "fkb_4-5-5-2.txt": {},
    "named_4-6-6-3.h5": {}, "rrtmgp_5-8-8-3.nc": {},
}  # fmt: skip


@pytest.mark.parametrize("file", FAMILIES)
def test_every_family_of_chains(fixtures, tmp_path, language, file):
    written(porter.read(fixtures / "families" / file, **FAMILIES[file]), tmp_path, language)


def test_transforms_between_physical_units(fixtures, tmp_path, language):
    network = porter.read(fixtures / "coast_Lrc_aaNN.h5", physical=True)
    path, report = written(network, tmp_path, language)
    assert report.layers[0].layer == "Transform_in" and report.layers[0].verdict == "parity"
    assert "degrees" in path.read_text()


def test_every_transform(tmp_path, language):
    _, report = written(with_transforms(tmp_path, sorted(TRANSFORMS)), tmp_path, language)
    assert report.layers[0].layer == "Transform_in" and report.layers[0].verdict == "parity"


def test_what_a_table_is_looked_up_in_is_refused_by_name(fixtures, tmp_path, language):
    path = tmp_path / f"net{SUFFIXES[language]}"
    with pytest.raises(UnbuildableError, match=r"(?s)Layer1 of ffbp_7x7.*--exact-activations"):
        porter.export(fixtures / "families" / "ffbp_7x7.net", path)
    assert not path.exists()


@pytest.mark.parametrize("name", ['a"); system("x"); //', "a */ int x; /*", "a\nprogram x", 'a"""\nimport os', "a'"])
def test_a_name_that_would_become_code_is_refused(network, tmp_path, language, name):
    layers = tuple(replace(each, name=name) if each.name == "Layer2" else each for each in network.layers)
    with pytest.raises(UnbuildableError, match="layer called"):
        porter.export(replace(network, layers=layers), tmp_path / f"net{SUFFIXES[language]}")


def test_a_file_name_does_not_become_code(tmp_path, language):
    file = write_hdf5(tmp_path / 'x "a" \'b\' """\\\nint bad; Lrc_aaNN.h5')
    written(porter.read(file), tmp_path, language)


def test_more_numbers_than_a_compiler_takes_are_refused(network, tmp_path, language, monkeypatch):
    from porter.exports import plan

    monkeypatch.setattr(plan, "MOST_NUMBERS", 100)
    with pytest.raises(UnbuildableError, match="at most 100"):
        porter.export(network, tmp_path / f"net{SUFFIXES[language]}")


def test_nothing_is_run_unasked(network, tmp_path, language):
    path, _ = written(network, tmp_path, language)
    with pytest.raises(UsageError, match="--compile"):
        porter.verify(network, path)
    assert porter.verify(network, path, compile=True).verdict == "parity"


def test_nothing_is_overwritten_unasked(network, tmp_path, language):
    path, _ = written(network, tmp_path, language)
    with pytest.raises(OutputExistsError):
        porter.export(network, path)
    assert porter.export(network, path, force=True).verdict == "parity"


def test_a_file_that_would_hide_a_module_from_itself_is_refused(network, tmp_path):
    for name in ("numpy.py", "types.py"):
        with pytest.raises(UsageError, match="the name of a module"):
            porter.export(network, tmp_path / name)


def test_functions_without_a_main_are_refused_with_what_to_do(network, tmp_path):
    needs("c")
    path, _ = written(network, tmp_path, "c")
    path.write_text(path.read_text().split("#if defined(SELFTEST) || defined(MAIN)")[0])
    with pytest.raises(PortError, match="with the main that it was written with"):
        porter.verify(network, path, compile=True)


def test_another_ending_is_refused(network, tmp_path, language):
    with pytest.raises(UsageError, match="ending"):
        porter.export(network, tmp_path / "net.txt", to=language)


def test_a_file_that_does_not_compile_is_a_refusal(network, tmp_path, language):
    path, _ = written(network, tmp_path, language)
    path.write_text(path.read_text().replace("Layer2", "Layer2 ?"))
    with pytest.raises(PortError):
        porter.verify(network, path, compile=True)


# What a person gets wrong in the text of a program.
TRANSPOSED = {
    "c": (r"Layer2_kernel \+ i \* 6;\n(.*)y\[j\] \+= a \* row\[j\]", r"Layer2_kernel + i;\n\1y[j] += a * row[j * 6]"),
    "fortran": (r"Layer2_kernel\(:, i\)", "Layer2_kernel(i, :)"),
    "numpy": (r"x @ Layer2_kernel ", "x @ Layer2_kernel.T "),
}
SWAPPED = {
    "c": (r"(compute_Layer2\(.*?)act_tanh\(y\[j\]\)", r"\1y[j] / (1 + F(fabs)(y[j]))"),
    "fortran": (r"(step_Layer2\(x, y\)\n.*?)y = act_tanh\(y\)", r"\1y = y / (1 + abs(y))"),
    "numpy": (r"(compute_Layer2\(x\):\n    return )tanh\((.*)\)", r"\1(lambda z: z / (1 + abs(z)))(\2)"),
}
DROPPED = {
    "c": (r"y\[j\] = Layer3_bias\[j\]", "y[j] = 0"),
    "fortran": (r"y = Layer3_bias", "y = 0"),
    "numpy": (r" \+ Layer3_bias", ""),
}
SIGN = {
    "c": (r"Norm_out_scale\[j\] \* x\[j\] \+ Norm_out_offset", "Norm_out_scale[j] * x[j] - Norm_out_offset"),
    "fortran": (r"Norm_out_scale \* x \+ Norm_out_offset", "Norm_out_scale * x - Norm_out_offset"),
    "numpy": (r"Norm_out_scale \* x \+ Norm_out_offset", "Norm_out_scale * x - Norm_out_offset"),
}
CLAMPED = {
    "c": (r"(outputs\[0 \+ j\] = )(layers\[\d+ \+ j\]);", r"\1\2 > 0 ? 0 : \2;"),
    "fortran": (r"    outputs\(1:\d+\) = (layers\(\d+:\d+\))", r"    outputs = min(\1, 0.0_wp)"),
    "numpy": (r"(    return )(values\['Norm_out'\])", r"\1np.minimum(\2, 0)"),
}
EDITS = {
    "kernel.transposed": ("Layer2", TRANSPOSED),
    "activation.replaced": ("Layer2", SWAPPED),
    "bias.missing": ("Layer3", DROPPED),
    "scaling.range": ("Norm_out", SIGN),
}


@pytest.mark.parametrize("code", EDITS)
def test_a_mistake_edited_by_hand_is_named(network, tmp_path, language, code):
    path, _ = written(network, tmp_path, language)
    layer, edits = EDITS[code]
    pattern, by = edits[language]
    edited(path, pattern, by, re.DOTALL if code == "activation.replaced" else 0)
    report = porter.verify(network, path, compile=True)
    assert report.verdict == report.links["export"] == "mismatch"
    assert [(each.code, each.layer) for each in report.findings] == [(code, layer)], str(report)
    assert [row.layer for row in report.layers if row.verdict == "mismatch"] == [layer]


def test_a_function_that_does_otherwise_than_the_layers_is_found(network, tmp_path, language):
    """What people call is held against what its layers give, far outside of the range as well."""
    path, _ = written(network, tmp_path, language)
    edited(path, *CLAMPED[language])
    report = porter.verify(network, path, compile=True)
    assert report.verdict == "mismatch" and [each.code for each in report.findings] == ["call.overridden"]


# What it does beside its functions: what it prints, and its test of itself.
DOUBLED = {
    "c": (r"\(double\)y\[j\], j", "2 * y[j], j"),
    "fortran": (r"(e3\)\)', )outputs", r"\1 2 * outputs"),
    "numpy": (r"repr\(float\(value\)\)", "repr(2 * float(value))"),
}
MOVED = {  # the first golden output, by 1e-9
    "c": (r"(golden_outputs\[\d+\] = \{\s*)", r"\g<1>1e-9 + "),
    "fortran": (r"(data \(golden_outputs.*?& *\n *)[^,]*", r"\g<1>1e-9_real64"),
    "numpy": (r"(golden_outputs = np\.array\(\[)", r"\g<1>1e-9 + "),
}


def edited(path, pattern, by, flags=0):
    text, count = re.subn(pattern, by, path.read_text(), count=1, flags=flags)
    assert count == 1
    path.write_text(text)


def test_what_a_program_does_beside_its_functions_is_judged(network, tmp_path, language):
    path, report = written(network, tmp_path, language)
    assert "rows of text is what its function gives, to the last bit" in report.link_notes["export"]
    assert "8 rows of the reference and passes, and fails with other" in report.link_notes["export"]
    edited(path, *DOUBLED[language])
    edited(path, *MOVED[language], re.DOTALL)
    report = porter.verify(network, path, compile=True)
    assert report.verdict == "mismatch"
    assert [each.code for each in report.findings] == ["call.overridden", "selftest.values"], str(report)
    assert "printed for rows of text" in report.findings[0].message


@pytest.mark.parametrize(
    ("pattern", "by", "verdict", "told"),
    [
        (r"repr\(float\(value\)\)", '"%.6f" % value', "parity", "to the digits printed"),
        (r"repr\(float\(value\)\)", '"%.1f" % value', "inconclusive", "too few digits"),
        (r"print\(\*\(repr", 'print("row:", *(repr', "inconclusive", "a line of 4 words for 3 outputs"),
        (r"print\(\*\(repr\(float\(value\)\)", 'print(*(f"{value}m"', "inconclusive", "is a number"),
        (r"for row in predict\(", "for row in 3 * predict(", "mismatch", "is not what its function gives"),
        (r"(golden_allowed = )", r"\1 1000 * ", "mismatch", "allows an error of"),
        (r"golden_outputs \+ shift", "2 + golden_outputs", "mismatch", "of the reference and fails"),
        (r"golden_outputs \+ shift", "golden_outputs", "mismatch", "passes with other outputs as well"),
        (
            r"(return bool\(np\.all\(.*) <= golden_allowed",
            r"\1 <= 1e9",
            "mismatch",
            "passes with other outputs as well",
        ),
    ],
)
def test_what_is_not_quite_wrong_is_told(network, tmp_path, pattern, by, verdict, told):
    path, _ = written(network, tmp_path, "numpy")
    edited(path, pattern, by)
    report = porter.verify(network, path, compile=True)
    assert report.verdict == verdict and told in report.link_notes["export"], str(report)


def test_one_number_changed_in_the_text_is_named_with_its_place(network, tmp_path, language):
    path, _ = written(network, tmp_path, language)
    value = network.layer("Layer2").kernel[1, 2]
    spell = {"c": c_text.literal, "fortran": fortran_text.literal, "numpy": lambda v, _: repr(v)}[language]
    text, old, new = path.read_text(), spell(float(value), True), spell(float(value) * (1 + 1e-9), True)
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    report = porter.verify(network, path, compile=True)
    assert [(each.code, each.layer) for each in report.findings] == [("kernel.values", "Layer2")]
    assert "[1, 2]" in report.findings[0].message


def test_a_file_in_less_than_it_declares_is_found(network, tmp_path):
    """All weights of a double program rounded to float."""
    needs("c")
    path, _ = written(network, tmp_path, "c")
    arrays = re.compile(r"(_(?:kernel|bias)\[\d+\] = \{)([^}]*)")
    path.write_text(arrays.sub(lambda m: m[1] + _shorter(m[2]), path.read_text()))
    report = porter.verify(network, path, compile=True)
    assert report.findings[0].code == "precision.port"


def _shorter(body):
    return re.sub(r"-?0x[\dp.a-f+-]+", lambda m: float(np.float32(float.fromhex(m[0]))).hex(), body)


def test_rows_as_text_and_the_self_test(network, tmp_path):
    needs("c")
    path, _ = written(network, tmp_path, "c")
    for flags, words in ((["-DSELFTEST"], "selftest passed"), (["-DMAIN"], None)):
        build = ["cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", *flags, str(path), "-o", "prog", "-lm"]
        subprocess.run(build, check=True, cwd=tmp_path)
        rows = "0.1 0.2 0.3 0.4 0.5\n1 2 3 4 5\n"
        told = subprocess.run([tmp_path / "prog"], input=rows, capture_output=True, text=True, check=True).stdout
        if words is not None:
            assert words in told
            continue
        numbers = np.array([line.split() for line in told.splitlines()], float)
        from porter.formats.programs import build_program

        wanted = build_program(network)(np.array([line.split() for line in rows.splitlines()], float))[0]
        assert np.allclose(numbers, wanted, rtol=1e-12, atol=1e-13) and numbers.shape == (2, WIDTHS[-1])


def test_the_self_test_can_fail(network, tmp_path):
    """Negative control."""
    needs("c")
    path, _ = written(network, tmp_path, "c")
    path.write_text(re.sub(*DROPPED["c"], path.read_text()))
    subprocess.run(["cc", "-DSELFTEST", str(path), "-o", "prog", "-lm"], check=True, cwd=tmp_path)
    done = subprocess.run([tmp_path / "prog"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "FAILED" in done.stdout


def test_contracted_and_vectorized_code_stays_within_the_bounds(network, tmp_path, monkeypatch):
    needs("c")
    for precision in ("float64", "float32"):
        flags = ("-O3", "-march=native", "-ffp-contract=fast", "-DMAIN")
        monkeypatch.setattr(c, "COMPILER", replace(c.COMPILER, flags=flags))
        path = tmp_path / f"{precision}.c"
        assert porter.export(network, path, precision=precision).verdict == "parity"


def test_fast_math_is_found_where_it_swallows_missing_values(network, tmp_path):
    """What a bound explains is parity; a missing value that becomes a number is told."""
    needs("c")
    path, _ = written(network, tmp_path, "c")
    text = path.read_text().replace("Norm_in_scale[j] * x[j]", "(x[j] == x[j] ? Norm_in_scale[j] * x[j] : 0)")
    path.write_text(text)
    report = porter.verify(network, path, compile=True)
    assert any("missing value" in note for note in report.notes)


def test_projects_are_written_beside_on_request(network, tmp_path):
    needs("c")
    porter.export(network, tmp_path / "net.c", project=True)
    assert "add_library(small_Lrc_aaNN net.c)" in (tmp_path / "CMakeLists.txt").read_text()
    with pytest.raises(OutputExistsError):
        porter.export(network, tmp_path / "other.c", project=True)
    assert not (tmp_path / "other.c").exists()
    needs("fortran")
    (tmp_path / "f").mkdir()
    assert porter.export(network, tmp_path / "f" / "net.f90", project=True).verdict == "parity"
    text = (tmp_path / "f" / "net.f90").read_text()
    assert "end program" not in text and "source-dir" in (tmp_path / "f" / "fpm.toml").read_text()


def test_no_compiler_is_said_and_the_file_is_written_unjudged(network, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    report = porter.export(network, tmp_path / "net.c")
    assert report.verdict == "inconclusive" and (tmp_path / "net.c").exists()
    assert "apt-get install gcc" in report.link_notes["export"]
    with pytest.raises(PortError, match="no compiler of C"):
        porter.verify(network, tmp_path / "net.c", compile=True)


def test_a_saved_keras_chain_is_a_source(tmp_path, fixtures):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Rescaling([0.5, 1, 2, 3], [0, 1, -1, 0.5]),
                              keras.layers.Dense(5), keras.layers.LeakyReLU(0.25), keras.layers.Dropout(0.5),
                              keras.layers.Dense(3, activation="softsign")])  # fmt: skip
    model.save(tmp_path / "m.keras")
    report = porter.export(tmp_path / "m.keras", tmp_path / "m.py")
    assert report.verdict == "parity" and {row.dtype for row in report.layers} == {"float32"}
    scope = {"__name__": "m"}
    exec((tmp_path / "m.py").read_text(), scope)
    rows = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    assert np.allclose(scope["predict"](rows), model(rows), rtol=1e-5, atol=1e-6)
    assert porter.export(model, tmp_path / "again.py").verdict == "parity"


def test_what_is_no_chain_is_refused_by_name(tmp_path):
    import keras

    inputs = keras.Input((4,))
    wide = keras.layers.Dense(4, name="wide")(inputs)
    model = keras.Model(inputs, keras.layers.Add()([inputs, wide]))
    model.save(tmp_path / "m.keras")
    with pytest.raises(UnbuildableError, match="chain"):
        porter.export(tmp_path / "m.keras", tmp_path / "m.py")


@pytest.mark.parametrize("language", ["c", "fortran"])
def test_pace_agrees_with_its_golden_samples(real, tmp_path, language):
    needs(language)
    file = real / "oc_smart" / "PACE_Lrc_aaNN.h5"
    path = tmp_path / f"aa{SUFFIXES[language]}"
    report = porter.export(file, path, samples=file.with_name("expected_network.npz"))
    assert report.verdict == "parity"
    opened = format_named(language).opens(path, trusted=True)
    golden = np.load(file.with_name("expected_network.npz"))
    found = opened.trace([golden["inputs"]])["Norm_out"]
    assert np.max(np.abs(found - golden["outputs"])) <= 1e-12


def test_the_networks_here_have_every_shape_of_mistake():
    """Square kernels, for the transposed; biases that are not zero; an activation to swap."""
    assert WIDTHS[1] == WIDTHS[2] and ACTIVATIONS[1] == "tanh"
