from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from porter.report import html, pictures
from porter.report.html import bars, render_html, write_text
from porter.report.model import LayerRow
from porter.report.terminal import render_text
from tests.report.examples import EXAMPLES, hostile, inconclusive, mismatch

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}


class _Page(HTMLParser):
    """What a page holds: its tags with their attributes, and its text outside of style and pictures."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data


@cache
def _rendered(name):
    """The page of an example; pages take a while to draw, and examples do not change."""
    return render_html(EXAMPLES[name]())


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(html, "draw", lambda report: pictures.Pictures())


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden(name, assert_golden, no_pictures):
    assert_golden(f"{name}.html", render_html(EXAMPLES[name]()))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_tag_is_closed(name):
    assert _Page(_rendered(name)).open == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_loaded_and_no_script_runs_but_the_pages_own(name):
    page = _Page(_rendered(name))
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base"}
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [{}]
    (script,) = re.findall(r"<script>(.*)</script>", _rendered(name), re.DOTALL)
    own = f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"
    (policy,) = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert f"script-src '{own}'" in policy and policy.startswith("default-src 'none';")
    assert script == (Path(html.__file__).parent / "templates" / "page.js").read_text(encoding="utf-8").strip()
    for tag, attributes in page.tags:
        assert not any(key.startswith("on") for key in attributes), tag
        for key in ("src", "href", "xlink:href", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
        assert "url(http" not in attributes.get("style", "")
    assert "@import" not in _rendered(name)


def test_every_text_of_a_file_is_escaped():
    page = _rendered("hostile")
    assert page.count("<script") == 1
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(") > 15
    assert all(c.isprintable() or c == "\n" for c in page)
    assert "<script>alert" in unescape(page)  # the example does attack


def test_the_verdict_comes_first_and_layer_cause_and_remedy_after_it():
    text = _Page(_rendered("mismatch")).text
    body = text[text.index("MISMATCH", text.index("MISMATCH") + 1) :]  # after the title
    first = ("MISMATCH", "2 mistakes in 2 of 3 layers", "is the transpose", "PACE_example_aaNN.h5", "aa.keras",
             "12:00 UTC", "verified again", "kernel.transposed")  # fmt: skip
    places = [body.index(word) for word in (*first, "porter.read(", "Transpose the kernel", "1,200 of")]
    assert places == sorted(places)
    assert places[len(first)] < 900


def test_assumptions_and_what_was_not_checked_are_said():
    text = _Page(_rendered("parity")).text
    assert "Assumed: the activation of Layer1 and Layer2 is tanh." in text
    assert "export: not checked" in text


def test_the_same_report_gives_the_same_page():
    assert render_html(mismatch()) == _rendered("mismatch")


def test_ids_of_pictures_do_not_clash():
    ids = re.findall(r'\bid="([^"]+)"', _rendered("mismatch"))
    assert ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("missing", [(), ("outputs",), ("scaled_errors",), ("kernels",), ("activations",)])
def test_pictures_are_drawn_from_the_arrays_that_are_there(missing):
    report = mismatch()
    there = {name: arrays for name, arrays in report.pictures.items() if name not in missing}
    expected = 6 - sum({"outputs": 2}.get(name, 1) for name in missing)
    assert render_html(replace(report, pictures=there)).count("<figure>") == expected


def test_a_page_without_anything_to_draw_has_no_pictures():
    report = inconclusive()
    exact = tuple(replace(row, isolated=0.0, cumulative=0.0) for row in report.layers)
    assert "<svg" not in render_html(replace(report, layers=exact))


@pytest.mark.parametrize(
    "outputs",
    [
        {"expected": np.zeros((3, 2)), "actual": np.zeros((3, 2))},
        {"expected": np.full((3, 2), np.nan), "actual": np.ones((3, 2))},
        {"expected": np.ones((3, 2)), "actual": np.full((3, 2), np.inf)},
        {"expected": np.zeros((0, 2)), "actual": np.zeros((0, 2))},
        {"expected": np.zeros((3, 2)), "actual": np.zeros((3, 1))},
        {"expected": np.arange(20000.0).reshape(4000, 5), "actual": np.arange(20000.0).reshape(4000, 5) + 1},
    ],
)
def test_strange_outputs_are_drawn_or_left_out(outputs):
    page = render_html(replace(mismatch(), pictures={"outputs": outputs}))
    assert len(page) < 400_000


def test_many_layers_stay_readable():
    rows = tuple(LayerRow(f"Layer{i}", (), "mismatch", 10.0 ** (i % 9), 1.0, 1e-9) for i in range(120))
    scaled = {row.layer: np.array([row.isolated]) for row in rows}
    page = render_html(replace(mismatch(), layers=rows, pictures={"scaled_errors": scaled}))
    assert "The worst 16 of 120 layers." in page


def test_without_matplotlib_the_page_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = render_html(mismatch())
    assert "matplotlib is not installed" in page
    assert "<svg" not in page


def test_bars_are_over_just_beyond_the_allowed_error():
    just = np.nextafter(1e-7, 1)
    inside, over, nothing, endless, unknown = bars(
        [
            LayerRow("a", (), "parity", 1e-7, 1e-7, 1e-7),
            LayerRow("b", (), "mismatch", just, just, 1e-7),
            LayerRow("c", (), "parity", 0.0, 0.0, 0.0),
            LayerRow("d", (), "mismatch", float("nan"), 0.0, 1e-7),
            LayerRow("e", (), "uncompared"),
        ]
    )
    assert unknown is None
    assert [bar.over for bar in (inside, over, nothing, endless)] == [False, True, False, True]
    assert inside.width == inside.bound == 50.0
    assert (nothing.width, endless.width) == (0.0, 100.0)


def test_to_html_writes_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    mismatch().to_html(path)
    assert path.read_text(encoding="utf-8") == _rendered("mismatch")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "half")
    assert path.read_text(encoding="utf-8") == _rendered("mismatch")
    assert list(tmp_path.iterdir()) == [path]


def test_in_a_notebook_the_page_has_a_frame_of_its_own():
    frame = _Page(hostile()._repr_html_())
    ((tag, attributes),) = frame.tags
    assert tag == "iframe"
    assert attributes["srcdoc"] == _rendered("hostile")


def _chromium(tmp_path, page, *options):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--hide-scrollbars"]
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [
        CHROMIUM,
        *flags,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr",
        *options,
        path.as_uri(),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")


@needs_chromium
@pytest.mark.subprocess
@pytest.mark.parametrize("name", ["mismatch", "hostile"])
def test_opens_in_a_browser_without_a_complaint(name, tmp_path):
    shown, complaints = _chromium(tmp_path, _rendered(name), "--dump-dom")
    assert complaints == []
    assert '<span class="badge bad">MISMATCH</span>' in shown


@needs_chromium
@pytest.mark.subprocess
def test_a_complaint_of_the_browser_would_be_seen(tmp_path):
    spoiled = _rendered("parity").replace("</header>", "</header><script>throw 1</script>")
    assert _chromium(tmp_path, spoiled, "--dump-dom")[1]


@needs_chromium
@pytest.mark.subprocess
def test_the_frame_of_a_notebook_becomes_as_tall_as_the_page(tmp_path):
    """The page has a height of its own, far above that of the frame before its script ran."""
    shown, complaints = _chromium(tmp_path, f"<p>before</p>{mismatch()._repr_html_()}", "--dump-dom")
    assert complaints == []
    assert float(re.search(r"<iframe[^>]*height: ([\d.]+)px", shown)[1]) > 1500
    assert "height:40rem" in mismatch()._repr_html_()


@needs_chromium
@pytest.mark.subprocess
def test_buttons_to_copy_show_where_scripts_run(tmp_path):
    shown, _ = _chromium(tmp_path, _rendered("mismatch"), "--dump-dom")
    assert shown.count('<button class="copy" type="button">Copy</button>') == 3
    assert _rendered("mismatch").count('<button class="copy" type="button" hidden>') == 3


def test_findings_of_one_layer_share_a_card():
    report = mismatch()
    one, other = (replace(finding, layer="Layer2") for finding in report.findings)
    page = _Page(render_html(replace(report, findings=(one, other)))).text
    assert page.count("1,200 of 2,000 (60 %) differ") == 1
    assert page.count("in the port: dense_1") == 1
    assert "2 mistakes in 1 of 3 layers" in page


def test_findings_of_one_layer_share_their_remedy_and_their_picture():
    report = mismatch()
    one = report.findings[0]
    other = replace(one, code="kernel.values", message="in the kernel 1 of 9 entries differs")
    page = render_html(replace(report, findings=(one, other)))
    assert page.count(".assign(network.layer(") == 1 and page.count('<p>that of <span class="n">1</span></p>') == 1
    assert page.count("as the file has it, as the port has it, and the difference") == 1


def test_where_nothing_is_decided_the_notes_that_say_why_come_before_the_layers():
    told = "--placement outside?"
    for name, first in (("inconclusive", True), ("mismatch", False)):
        report = replace(EXAMPLES[name](), notes=(told,))
        for text in (_Page(render_html(report)).text, render_text(report)):
            layers = text.index("Layers")
            assert (text.index(told) < layers) == first


def test_a_name_may_be_broken_where_people_would():
    assert str(html.parts("batch_norm.<x>")) == "batch_<wbr>norm.<wbr>&lt;x&gt;"


def test_numbers_are_not_broken_at_the_end_of_a_line():
    shown = str(html.figures("by 3.02e-10 of 1,200; <b>-7 & 2.5"))
    assert shown.replace('<span class="n">', "[").replace("</span>", "]") == (
        "by [3.02e-10] of [1,200]; &lt;b&gt;[-7] &amp; [2.5]"
    )


@pytest.mark.parametrize(
    ("isolated", "told"),
    [(0.0, "0"), (1e-7, "1"), (0.99999999e-7, "> 0.999"), (1.000001e-7, "> 1.00"), (0.42e-7, "0.42"), (3e-3, "3.0e+04"),
     (1e-12, "1.0e-05"), (float("inf"), "beyond all bounds"), (9.87e-8, "0.987"), (3.333e-6, "33"), (1e-5, "100")],
)  # fmt: skip
def test_the_margin_is_a_number_and_never_1_where_it_is_not(isolated, told):
    (bar,) = bars([LayerRow("a", (), "parity", isolated, isolated, 1e-7)])
    assert bar.told == told


def test_conventions_are_folded_where_none_is_assumed():
    proven = tuple(replace(claim, evidence="shape") for claim in mismatch().claims)
    assert "<details>" in render_html(replace(mismatch(), claims=proven))
    assert "<details open>" in _rendered("mismatch")


@needs_chromium
@pytest.mark.subprocess
def test_nothing_is_wider_than_a_phone(tmp_path):
    from PIL import Image

    shot = tmp_path / "shot.png"
    _chromium(tmp_path, _rendered("hostile"), f"--screenshot={shot}", "--window-size=500,3000")
    pixels = np.asarray(Image.open(shot).convert("L"))
    assert (pixels[:, -6:-1] == pixels[0, -1]).all()  # a bare margin: nothing was cut off
    assert (pixels[:, 20:-20] != pixels[0, -1]).any()
