"""Data by name or position out of every format, divided, checked, and refused before anything is trained."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import porter
from porter.errors import UsageError
from porter.learning import checks
from porter.learning.data import Data, load_data
from porter.learning.errors import DataError
from porter.learning.splits import split_rows
from porter.learning.start import open_start
from porter.learning.units import convert

RNG = np.random.default_rng(0)
X, Y = RNG.random((30, 3)), RNG.random((30, 2))
SITES = np.repeat(["AERONET", "BOUSSOLE", "MOBY"], 10)
NAMES = ["chl", "cdom", "slope", "rrs443", "rrs555"]


def write_csv(path, *, header=True, missing=False):
    lines = [",".join(["site", *NAMES])] if header else []
    for site, row in zip(SITES, np.hstack([X, Y]), strict=True):
        cells = [repr(float(value)) for value in row]
        lines.append(",".join([site, *cells] if header else cells))
    if missing:
        lines[5] = "MOBY,NA," + ",".join(["0.5"] * 4)
    path.write_text("\n".join(lines))
    return path


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        for name, column in zip(NAMES, np.hstack([X, Y]).T, strict=True):
            file[name] = column
        file["wavelengths"] = [443.0, 555.0]
    return path


def write_netcdf(path):
    """A packed variable with a fill value, as netCDF-4 lays them down in HDF5."""
    with h5py.File(path, "w") as file:
        for name, column in zip(NAMES, np.hstack([X, Y]).T, strict=True):
            packed = np.round(column * 1e4).astype(np.int16)
            packed[3] = -32767 if name == "chl" else packed[3]
            file[name] = packed
            file[name].attrs.update({"scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": np.int16(-32767)})
    return path


def write_npz(path):
    np.savez(path, inputs=X, outputs=Y, site=SITES, wavelengths=[443.0, 555.0])
    return path


@pytest.mark.parametrize(("write", "suffix"), [(write_csv, "csv"), (write_hdf5, "h5"), (write_npz, "npz")])
def test_every_format_gives_the_same_rows(tmp_path, write, suffix):
    chosen = {"inputs": NAMES[:3], "targets": NAMES[3:]} if suffix == "h5" else {"group": "site"}
    data = load_data(write(tmp_path / f"data.{suffix}"), (3, 2), **chosen)
    assert np.array_equal(data.inputs, X) and np.array_equal(data.targets, Y)
    assert len(data.sha256) == 64


def test_columns_of_hdf5_have_no_order_to_go_by(tmp_path):
    path = write_hdf5(tmp_path / "data.h5")
    for chosen in ({}, {"inputs": "0:3", "targets": "3:5"}, {"inputs": NAMES[:3]}):
        with pytest.raises(DataError, match="order"):
            load_data(path, (3, 2), **chosen)


def test_packed_netcdf_is_unpacked_and_its_fill_value_is_missing(tmp_path):
    data = load_data(write_netcdf(tmp_path / "data.nc"), (3, 2), inputs=NAMES[:3], targets=NAMES[3:])
    assert np.isnan(data.inputs[3, 0]) and np.isnan(data.inputs).sum() == 1
    assert np.nanmax(np.abs(data.inputs - X)) <= 0.5e-4 * 1.001


def test_columns_by_name_by_position_and_by_range(tmp_path):
    path = write_csv(tmp_path / "data.csv")
    for inputs, targets in (("slope,chl,cdom", "rrs555,rrs443"), (["slope", "chl", "cdom"], ["rrs555", "rrs443"])):
        data = load_data(path, (3, 2), inputs=inputs, targets=targets)
        assert np.array_equal(data.inputs, X[:, [2, 0, 1]]) and np.array_equal(data.targets, Y[:, ::-1])
        assert data.input_names == ("slope", "chl", "cdom")
    data = load_data(path, (3, 2), inputs="0:3", targets=[3, 4])
    assert np.array_equal(data.inputs, X) and np.array_equal(data.targets, Y)


def test_a_csv_without_a_header_goes_by_position(tmp_path):
    data = load_data(write_csv(tmp_path / "data.csv", header=False), (3, 2))
    assert np.array_equal(data.inputs, X) and data.input_names == ("0", "1", "2")


def test_whole_numbers_throughout_are_data(tmp_path):
    (tmp_path / "data.csv").write_text("1,2\n3,4\n5,6\n")
    assert len(load_data(tmp_path / "data.csv", (1, 1))) == 3


def test_images_are_one_block():
    data = load_data((np.zeros((6, 8, 8, 1)), np.zeros((6, 10))), (64, 10))
    assert data.inputs.shape == (6, 8, 8, 1)


@pytest.mark.parametrize(
    ("widths", "chosen", "found"),
    [
        ((2, 2), {}, "5 columns of numbers"),
        ((3, 2), {"inputs": "chl,cdom"}, "5 columns|3 columns|2 columns"),
        ((3, 2), {"inputs": "chl,cdom,nothing"}, "no column of numbers 'nothing'"),
        ((3, 2), {"inputs": "chl,cdom,site"}, "no column of numbers 'site'"),
        ((3, 2), {"inputs": "0:3", "targets": "chl,rrs443"}, "chl as input and as target"),
        ((3, 2), {"group": "buoy"}, "no column 'buoy'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path, widths, chosen, found):
    with pytest.raises(DataError, match=found):
        load_data(write_csv(tmp_path / "data.csv"), widths, **chosen)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty|no rows"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3\n", "1 values"),
        (b"a,a\n1,2\n", "a more than once"),
        (b"412,443\n0.01,0.02\n0.03,0.04\n", "whole numbers alone"),
        (b"CDF\x01rest", "netCDF-3"),
        (b"\xff\xfe\x00bytes", "no text"),
        (b"PK\x03\x04broken", "BadZipFile"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path, content, found):
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(porter.PorterError, match=found):
        load_data(path, (1, 1))


def data_of(x=X, y=Y, groups=None):
    names = tuple(f"x{k}" for k in range(x.shape[1])), tuple(f"y{k}" for k in range(y.shape[1]))
    return Data(x, y, *names, groups, "test", "")


def test_a_split_is_a_partition_and_follows_its_seed():
    data = data_of()
    first, again, other = (split_rows(data, validation=0.2, test=0.1, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(np.sort(np.concatenate(list(first.parts().values()))), np.arange(30))
    assert [len(rows) for rows in first.parts().values()] == [21, 6, 3]
    assert np.array_equal(first.test, again.test) and not np.array_equal(first.test, other.test)


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_one_site_are_never_on_two_sides(seed):
    groups = np.random.default_rng(seed).integers(0, 12, 200).astype(str)
    data = data_of(RNG.random((200, 3)), RNG.random((200, 2)), groups)
    split = split_rows(data, validation=0.25, test=0.25, seed=seed)
    sides = [set(groups[rows]) for rows in split.parts().values()]
    assert all(sides) and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert 20 <= len(split.test) <= 80
    ungrouped = split_rows(data_of(data.inputs, data.targets), validation=0.25, test=0.25, seed=seed)
    assert set(groups[ungrouped.train]) & set(groups[ungrouped.test])  # it can fail


def test_too_few_groups_and_shares_that_cannot_be_meant():
    data = data_of(groups=np.repeat(["a", "b"], 15))
    with pytest.raises(DataError, match="no groups are left for train"):
        split_rows(data, validation=0.2, test=0.1, seed=0)
    for shares in ({"validation": 0.6, "test": 0.5}, {"validation": -0.1, "test": 0.0}, {"validation": 0, "test": 1.0}):
        with pytest.raises(UsageError):
            split_rows(data_of(), seed=0, **shares)


LIMITS = np.array([[0.0, 1.0]] * 3), np.array([[0.0, 1.0]] * 2)


def problems(x=X, y=Y):
    return checks.check_data(data_of(x, y), LIMITS)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


def test_good_data_have_no_problems():
    assert problems() == []


@pytest.mark.parametrize(
    ("x", "y", "text", "fatal"),
    [
        (changed(X, (4, 1), np.nan), Y, "1 of 30 rows have inputs that are no numbers: x1, first in row 4", True),
        (X, changed(Y, (2, 0), np.inf), "targets that are no numbers", True),
        (changed(X, (slice(3), 0), -999.0), Y, "-999 stands in 10.0% of the rows", True),
        (changed(X, (slice(None), 2), 0.5), Y, "input x2: the same value in every row", False),
        (X, np.ones_like(Y), "target y0, y1: the same value in every row; there is nothing to learn", True),
        (X, changed(Y, (slice(None), 0), 0.5), "target y0: the same value in every row", False),
        (changed(X, (slice(5), 0), 1.5), Y, "input x0: 16.7% of the rows lie outside its documented range", False),
        (10**X * changed(np.ones_like(X), (slice(None), 0), 1.0), Y, "input x0.*log10 of it would fit", True),
        (X * 1000 + 5, Y, "a thousandth of it would fit", True),
        (X, changed(Y, (slice(None), 0), 1.9), "100.0% of the rows lie outside .*; log10 of it would fit", False),
    ],
)
def test_each_problem_is_told(x, y, text, fatal):
    import re

    found = problems(x, y)
    assert any(re.search(text, one.text) and one.fatal == fatal for one in found), found


def test_units_just_inside_are_let_pass():
    """A median within one range of the documented one may be another regime; beyond, the units are others."""
    inside, outside = (changed(X, (slice(None), 0), 1.0 + share) for share in (0.99, 1.01))
    assert not any(one.fatal for one in problems(inside) if "median" in one.text)
    assert any(one.fatal for one in problems(outside) if "median" in one.text)


def test_masked_numbers_are_missing_and_what_is_no_array_of_numbers_is_refused():
    """As netCDF readers give them: what is below a mask is a fill value."""
    masked = np.ma.masked_array(X, mask=X > 0.9)
    data = load_data((masked, Y), (3, 2))
    assert np.array_equal(np.isnan(data.inputs), masked.mask)
    for wrong, found in ((X + 1j, "complex128"), ([[1.0, 2], [3]], "inhomogeneous"), (X[0, 0], "rows: inputs: 0")):
        with pytest.raises(DataError, match=found):
            load_data((wrong, Y), (3, 2))


def test_rows_of_no_group_are_kept_together_and_told():
    groups = np.array(["a", None, "b", 3, "c", "d"] * 5, dtype=object)
    data = load_data({"inputs": X, "targets": Y, "site": groups}, (3, 2), group="site")
    split = split_rows(data, validation=0.2, test=0.2, seed=0)
    told = "5 rows have no value in the column that keeps rows together"
    assert told in checks.check_split(data, split)[-1].text + checks.check_split(data, split)[0].text
    numbered = data_of(groups=np.where(np.arange(30) % 3 == 0, np.nan, np.arange(30) // 3))
    found = checks.check_split(numbered, split_rows(numbered, validation=0.2, test=0.2, seed=0))
    assert "10 rows have no value" in found[0].text and not found[0].fatal


def test_rows_are_compared_as_the_model_takes_them():
    """Apart in float64 alone, or in the sign of zero: the same row to the model."""
    x = changed(np.vstack([X, X * (1 + 1e-12)]), (slice(30), 0), 0.0)
    data = data_of(changed(x, (slice(30, 60), 0), -0.0), np.vstack([Y, Y]))
    split = split_rows(data, validation=0.2, test=0.2, seed=0)
    assert checks.check_split(data, split) == []
    seen = checks.seen_by(data, ("float32", "float32"))
    assert "very inputs of a training row" in checks.check_split(seen, split)[0].text


def test_numbers_beyond_the_dtype_of_the_model_are_refused():
    data = data_of(X, changed(Y, (7, 1), 1e300))
    assert checks.check_range_of_dtype(data, checks.seen_by(data, ("float64", "float64"))) == []
    (found,) = checks.check_range_of_dtype(data, checks.seen_by(data, ("float32", "float32")))
    assert found.fatal and found.text == "1 targets are larger than float32 holds, the first in row 7"


def test_rows_with_missing_numbers_are_left_out_when_asked():
    kept, dropped = checks.drop_missing(data_of(changed(X, (4, 1), np.nan)))
    assert dropped == 1 and len(kept) == 29 and checks.check_data(kept, LIMITS) == []
    with pytest.raises(DataError, match="a missing number in every row"):
        checks.drop_missing(data_of(np.full_like(X, np.nan)))


def test_duplicates_across_the_split_are_told_and_all_of_them_refused():
    data = data_of(np.vstack([X, X]), np.vstack([Y, Y]))
    split = split_rows(data, validation=0.2, test=0.2, seed=0)
    found = checks.check_split(data, split)
    assert [one.fatal for one in found] == [False, False] and "very inputs of a training row" in found[0].text
    assert checks.check_split(data_of(), split_rows(data_of(), validation=0.2, test=0.2, seed=0)) == []
    same = data_of(np.ones((20, 3)), RNG.random((20, 2)))
    assert all(one.fatal for one in checks.check_split(same, split_rows(same, validation=0.2, test=0.2, seed=0)))
    with pytest.raises(DataError, match="and 1 more"):
        checks.refuse(checks.check_split(same, split_rows(same, validation=0.2, test=0.2, seed=0)), "test")


@pytest.mark.parametrize("placement", ["inside", "folded", "outside"])
def test_the_documented_range_of_a_port_follows_its_placement(keras, fixtures, placement):
    start = open_start(fixtures / "mean_std_7-16-7.h5", placement=placement, scaling="mean-std")
    network = start.network
    scaled = network.layers[0].stored[:, [0]] + network.layers[0].stored[:, [1]] * [-3, 3]
    expected = np.tile([-3.0, 3.0], (7, 1)) if placement == "outside" else scaled
    assert np.allclose(start.limits[0], expected, rtol=1e-12)
    assert start.ends.stage == ("scaled" if placement == "outside" else "network")


def test_a_saved_port_tells_its_range_without_the_legacy_file(keras, fixtures, tmp_path):
    port = tmp_path / "ocean.keras"
    porter.port(fixtures / "ocean_7-100-75-50-25-7.h5", port, search=False)
    network = porter.read(fixtures / "ocean_7-100-75-50-25-7.h5")
    start = open_start(port)
    assert np.allclose(start.limits[0], network.layers[0].stored, rtol=1e-6)
    assert np.allclose(start.limits[1], network.layers[-1].stored, rtol=1e-6)
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    assert open_start(model).limits == (None, None)


def test_physical_units_are_brought_to_those_of_the_port_and_back(keras, fixtures):
    file, samples = fixtures / "coast_Lrc_aaNN.h5", np.load(fixtures / "coast_Lrc_aaNN_physical.npz")
    network = porter.read(file, kind="aaNN", physical=True)
    ends = open_start(porter.build(porter.read(file, kind="aaNN")), legacy=network).ends
    assert ends.stage == "network"
    given = data_of(samples["inputs"], samples["outputs"])
    there = convert(given, "physical", ends)
    golden = np.load(fixtures / "coast_Lrc_aaNN.npz")
    assert np.allclose(there.inputs, golden["inputs"], rtol=1e-12)
    assert np.allclose(there.targets, golden["outputs"], rtol=1e-9)
    physical = open_start(network).ends
    back = convert(there, "network", physical)
    assert physical.stage == "physical" and np.allclose(back.inputs, given.inputs, rtol=1e-9)
    assert np.allclose(convert(given, "physical", physical).inputs, given.inputs)


def test_units_that_nothing_documents_are_refused(keras, fixtures):
    ends = open_start(fixtures / "ocean_7-100-75-50-25-7.h5").ends
    data = data_of(RNG.random((5, 7)), RNG.random((5, 7)))
    with pytest.raises(UsageError, match="--kind"):
        convert(data, "physical", ends)
    with pytest.raises(UsageError, match="one of model"):
        convert(data, "degrees", ends)
    scaled = convert(data, "scaled", ends)
    assert np.allclose(convert(scaled, "network", open_start(
        fixtures / "ocean_7-100-75-50-25-7.h5", placement="outside").ends).inputs, data.inputs)  # fmt: skip


def test_the_logarithm_of_zero_is_refused(keras, fixtures):
    file = fixtures / "coast_Lrc_aaNN.h5"
    network = porter.read(file, kind="aaNN", physical=True)
    ends = open_start(porter.build(porter.read(file, kind="aaNN")), legacy=network).ends
    samples = np.load(fixtures / "coast_Lrc_aaNN_physical.npz")
    bad = changed(samples["inputs"], (3, 4), 0.0)
    with pytest.raises(DataError, match="1 values that have no counterpart in network units, first in row 3"):
        convert(data_of(bad, samples["outputs"]), "physical", ends)
