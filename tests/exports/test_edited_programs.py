"""Programs that somebody edited: what may compute otherwise elsewhere is no parity, whatever rows show."""

from __future__ import annotations

import re

import pytest

import porter
from tests.exports.networks import small
from tests.exports.test_programs import SUFFIXES, needs

TANH = {
    "c": r"    return F\(tanh\)\(z\);", "fortran": r"    y = tanh\(z\)", "numpy": r"    return np\.tanh\(x\)",
}  # fmt: skip
PREPROCESSED = "#if{}\n    return F(tanh)(z);\n#else\n    return z;\n#endif"
MAY_DIFFER = {
    "a name of the compiler": ("c", TANH["c"], PREPROCESSED.format("ndef _OPENMP")),
    "a number that hardly ever comes": ("c", TANH["c"], "    return z == 0.1234567 ? 1 : F(tanh)(z);"),
    "a comparison without a branch": ("c", TANH["c"], "    return F(tanh)(z) + (z == 0.1234567);"),
    "what was computed before": ("c", TANH["c"], "    static long n; return F(tanh)(z) + (real)(++n / 100000000);"),
    "what is kept outside": ("c", r"(static real act_tanh)", r"real late = 1;\n\1"),
    "what is kept in the module": ("fortran", r"(parameter, public :: wp = \w+)", r"\1\n  real(wp) :: late"),
    "a default that is kept": ("numpy", r"def tanh\(x\):", "def tanh(x, late=[]):"),
    "what stands around it": ("c", "#include <math.h>", '#include <math.h>\n#pragma GCC optimize("fast-math")'),
    "what it is given": ("c", r"(\w+_layers\(inputs, layers\);)", r"\1 ((real *)inputs)[0] = 0;"),
    "what looks like a comment": (
        "c",
        TANH["c"],
        '    const char *a = "/*"; if (z == 0.1234567) return 1; (void)a; a = "*/"; return F(tanh)(z);',
    ),
    "a comment that goes on": ("fortran", TANH["fortran"], "    y = tanh(z); if (len('!') > 1) y = z ! as usual"),
    "a string with a hash": ("numpy", TANH["numpy"], "    y = np.tanh(x), '#'; return y[0] if len(x) < 10**6 else x"),
    "a missing value": ("fortran", TANH["fortran"], "    y = merge(0.0_wp, tanh(z), ieee_is_nan(z))"),
    "another compiler's word": ("fortran", TANH["fortran"], "    y = tanh(z)\n!$  y = z"),
    "how Python is started": ("numpy", TANH["numpy"], "    return np.tanh(x) if __debug__ else x"),
    "how many rows there are": ("numpy", TANH["numpy"], "    return np.tanh(x) if len(x) < 10**6 else x"),
}
RIGHT = {
    "another order": ("c", r"for \(i = 0; i < 5; i\+\+\)", "for (i = 4; i >= 0; i--)"),
    "another form": ("fortran", TANH["fortran"], "    y = 1 - 2 / (exp(2 * z) + 1)"),
    "another name": ("numpy", TANH["numpy"], "    own = np.tanh(x)\n    return own"),
}
SPOILT = {  # tests of themselves that nobody's arrays could fail
    "no rows": (
        "c",
        r"i < 8(; i\+\+\) \{\n        for \(j = 0; j < \d+; j\+\+\) x\[j\] = \(real\)golden)",
        r"i < 8 * (shift != 0)\1",
    ),
    "its main": ("c", r"return selftest\(0\);", "return 0 * selftest(0);"),
    "how it ends": ("fortran", r"( *)if \(wrong > 0\) (error )?stop[^\n]*", r"\1continue"),
    "what it says": ("numpy", r"return 0 if is_right else 1", "return 0"),
}
MADE: dict[str, str] = {}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return small(tmp_path_factory.mktemp("networks"))


def verify(network, folder, language, pattern, by):
    """An edit of porter's own text, judged."""
    needs(language)
    path = folder / f"net{SUFFIXES[language]}"
    if language not in MADE:
        assert porter.export(network, path).verdict == "parity"
        MADE[language] = path.read_text()
    text, count = re.subn(pattern, by, MADE[language], count=1)
    assert count == 1
    path.write_text(text)
    return porter.verify(network, path, compile=True)


@pytest.mark.parametrize("what", MAY_DIFFER)
def test_what_may_compute_otherwise_is_no_parity(network, tmp_path, what):
    report = verify(network, tmp_path, *MAY_DIFFER[what])
    assert report.verdict == "inconclusive", str(report)
    assert any(note.startswith("line ") and "may depend on that" in note for note in report.notes)


@pytest.mark.parametrize("what", RIGHT)
def test_what_is_written_otherwise_and_right_is_told(network, tmp_path, what):
    report = verify(network, tmp_path, *RIGHT[what])
    assert report.verdict == "parity", str(report)
    assert any(note.startswith("line ") and "not as porter writes it" in note for note in report.notes)


@pytest.mark.parametrize("what", SPOILT)
def test_a_test_of_itself_has_to_fail_with_other_arrays(network, tmp_path, what):
    report = verify(network, tmp_path, *SPOILT[what])
    assert [each.code for each in report.findings] == ["selftest.values"], str(report)


@pytest.mark.parametrize("language", SUFFIXES)
def test_comments_with_numbers_that_are_not_the_networks_are_told(network, tmp_path, language):
    report = verify(network, tmp_path, language, r"input 0: \S+ to", "input 0: -77 to")
    assert report.verdict == "parity" and any("a comment that porter does not write" in note for note in report.notes)
    own = verify(network, tmp_path, language, r"input 0: ", "input 0: ")
    assert not any(note.startswith("line ") for note in own.notes)
