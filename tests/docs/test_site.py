"""The site builds without a warning, from this checkout alone, and is complete."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from porter.codes import CODES
from porter.formats.recipe import (
    BoundsRecipe,
    ClampRecipe,
    EnsembleRecipe,
    LayerRecipe,
    RawRecipe,
    Recipe,
    ScalingRecipe,
    TransformsRecipe,
)  # fmt: skip
from porter.formats.recipe_activations import RationalRecipe, TableRecipe
from porter.formats.recipe_ends import EndRecipe
from reference.activations import BY_COEFFICIENTS, FUNCTIONS

needs_mkdocs = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None,
    reason="MkDocs with its theme Material is not installed here (pip install '.[docs]')",
)


def build(root, config, folder):
    """MkDocs, with warnings as errors."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(folder),
    ]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def hooks(root):
    spec = importlib.util.spec_from_file_location("hooks", root / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(root, root / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


@needs_mkdocs
@pytest.mark.subprocess
def test_the_site_has_every_page(site, root):
    pages = {path.stem for path in (root / "docs").glob("*.md")}
    assert len(pages) > 8
    assert pages <= {path.stem for path in site.glob("*.html")}


@needs_mkdocs
@pytest.mark.subprocess
def test_the_site_loads_nothing_from_elsewhere(site):
    pattern = re.compile(
        r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="http'
    )
    assert pattern.search('<script async src="https://cdn.example/x.js">')
    assert not [path.name for path in site.glob("*.html") if pattern.search(path.read_text(encoding="utf-8"))]


@needs_mkdocs
@pytest.mark.subprocess
def test_the_api_is_there(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in (
        "porter.formats.read",
        "porter.jobs.verify.verify",
        "porter.report.report.Report.to_html",
        "reference.rounding.bounds",
    ):
        assert f'id="{name}"' in text, name


@needs_mkdocs
@pytest.mark.subprocess
def test_formulas_become_mathml(site):
    text = (site / "numerics.html").read_text(encoding="utf-8")
    assert text.count("<math") > 20
    assert "$`" not in text and "$$" not in text


@needs_mkdocs
@pytest.mark.subprocess
def test_a_warning_stops_the_build(root, tmp_path):
    (tmp_path / "docs").mkdir()
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {root}/mkdocs.yml\ndocs_dir: docs\nnav: [index.md]\nplugins: []\nhooks: []\n")
    for text, status in (("[there](index.md)", 0), ("[nowhere](gone.md)", 1)):
        (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{text}\n")
        assert build(root, config, tmp_path / "site").returncode == status


def test_every_finding_code_has_cause_and_remedy(hooks):
    text = "\n".join(hooks.finding_codes())
    assert re.findall(r"^### `(\S+)`", text, re.MULTILINE) == list(CODES)
    assert text.count("**How it comes about.** ") == text.count("**Remedy.** ") == len(CODES)


def test_a_code_without_a_text_stops_the_build(hooks, monkeypatch):
    monkeypatch.setitem(CODES, "kernel.new", "something new")
    with pytest.raises(KeyError, match=r"kernel\.new"):
        list(hooks.finding_codes())


def test_reserved_codes_are_those_that_nothing_reports(hooks, root):
    """A reserved code that is reported, or another that is not, would make the page untrue."""
    files = [path for path in (root / "porter").rglob("*.py") if path.name not in ("codes.py", "planting.py")]
    texts = (path.read_text(encoding="utf-8") for path in files)
    names = ("Cause(", "Finding(", "Variant(", "Layout(")
    code = "\n".join(text for text in texts if any(name in text for name in names))
    unreported = {name for name in CODES if f'"{name}"' not in code}
    sections = "\n".join(hooks.finding_codes()).split("### ")[1:]
    reserved = {re.match(r"`(\S+)`", section)[1] for section in sections if "Reserved:" in section}
    assert reserved == unreported
    assert "kernel.transposed" not in reserved


def test_the_tables_have_every_key_and_every_activation(hooks):
    fields = {*Recipe.model_fields, *(f"layers.{f}" for f in LayerRecipe.model_fields)}
    fields |= {f"scaling.{f}" for f in ScalingRecipe.model_fields}
    fields |= {f"scaling.{end}.{f}" for end in ("input", "output") for f in EndRecipe.model_fields}
    tables = {"transforms": TransformsRecipe, "bounds": BoundsRecipe, "ensemble": EnsembleRecipe, "raw": RawRecipe}
    tables |= {"bounds.input": ClampRecipe, "layers.activation": RationalRecipe, "layers.table": TableRecipe}
    fields |= {f"{name}.{f}" for name, model in tables.items() for f in model.model_fields}
    assert set(re.findall(r"^\| `(\S+)`", "\n".join(hooks.recipe_keys()), re.MULTILINE)) == fields
    assert set(re.findall(r"^\| `(\S+)`", "\n".join(hooks.activations()), re.MULTILINE)) == {
        *FUNCTIONS,
        *BY_COEFFICIENTS,
    }


def test_what_builds_the_site_is_pinned(root):
    wanted = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["docs"]
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    requirements = [Requirement(text) for text in wanted]
    assert {each.name for each in requirements} >= {"mkdocs", "mkdocs-material", "mkdocstrings-python", "nbclient"}
    assert all(pins[each.name] in each.specifier for each in requirements)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")


def opened(tmp_path, page, query=""):
    """The page of a file as Chromium has it once its scripts have run."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000", "--dump-dom"]
    command = [CHROMIUM, *options, f"{page.as_uri()}{query}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@needs_mkdocs
@needs_chromium
@pytest.mark.subprocess
def test_the_search_works_where_the_site_is_opened_as_files(site, tmp_path):
    meta = re.compile(r'md-search-result__meta"[^>]*>([^<]*)')
    found = meta.search(opened(tmp_path, site / "index.html", "?q=transposed"))[1]
    assert re.fullmatch(r"[1-9]\d* matching documents?", found.strip())
    (site / "assets" / "iframe-worker.js").rename(site / "assets" / "away.js")  # it can fail
    try:
        without = meta.search(opened(tmp_path, site / "index.html", "?q=transposed"))[1]
    finally:
        (site / "assets" / "away.js").rename(site / "assets" / "iframe-worker.js")
    assert "matching" not in without


def test_the_code_on_the_home_page_fits_its_column(root):
    """What the column of the theme shows on a screen of 1280 points."""
    text = (root / "docs" / "index.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines and max(map(len, lines)) <= 78


@needs_mkdocs
def test_no_page_loads_a_script_from_elsewhere(site):
    for page in site.glob("*.html"):
        scripts = re.findall(r"<script[^>]* src=\"([^\"]+)", page.read_text(encoding="utf-8"))
        assert not [each for each in scripts if "//" in each], page.name
