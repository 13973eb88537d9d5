"""The book: its table of contents, its configuration, and the browser check that watches its pages."""

import tomllib
from pathlib import Path

import pytest
import yaml

import browser

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
BAD_PAGE = """<html><head><title>bad</title></head><body><article>
<p>Forgotten: \\(a^2\\)</p><span class="math">\\(x\\)</span>
<img src="missing.png"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=" alt="plot.png">
<script src="http://example.org/tracker.js"></script><script>undefinedFunction()</script>
</article></body></html>"""


def toc_files():
    """Every page in the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def test_toc_names_files_that_exist_once():
    files = toc_files()
    assert len(files) == len(set(files))
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_toc_lists_every_page_of_the_book():
    pages = {path.relative_to(ROOT).as_posix() for suffix in ("ipynb", "md") for path in ROOT.glob(f"book/*.{suffix}")}
    assert pages - set(toc_files()) == set()


def test_committed_outputs_are_what_is_shown():
    assert CONFIG["execute"]["execute_notebooks"] == "off"


def test_one_version_and_one_address():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = CONFIG["repository"]["url"]
    assert project["urls"]["Source"] == address
    assert f'"{address}/archive/refs/tags/v{project["version"]}.zip"' in (ROOT / "tools/colab_cell.py").read_text()
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_one_page_is_one_page():
    """Chapter 0 promises fewer than 150 lines up to its check against the package, and says how many there are."""
    page, _, check = (ROOT / "book" / "00_one_page.py").read_text().partition("# ## Checked against the package")
    before, colab, after = page.partition("# On Colab, install")
    code = before + after.partition("# %%")[2]
    lines = [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert colab and check and "mplp_lite" not in "".join(lines)
    assert len(lines) < 150 and f"after {len(lines)} lines of code" in check


@pytest.fixture
def executable():
    """A Chromium that is already here."""
    return browser.installed() or pytest.skip("no Chromium")


def test_browser_passes_a_good_page(tmp_path, executable):
    (tmp_path / "good.html").write_text('<html><head><link rel="icon" href="data:,"></head><body><article>Fine.</article></body></html>')
    assert browser.check(tmp_path, executable) == {"good.html": []}


def test_browser_sees_what_is_wrong(tmp_path, executable):
    (tmp_path / "bad.html").write_text(BAD_PAGE)
    found = "\n".join(browser.check(tmp_path, executable)["bad.html"])
    for problem in [
        "maths not rendered: \\(x\\)",
        "raw maths in the text: \\(a^2\\)",
        "image did not load: missing.png",
        "image without alt text: missing.png",
        "image without alt text: data:",
        "request to outside: http://example.org/tracker.js",
        "script error: undefinedFunction is not defined",
        "status 404",
    ]:
        assert problem in found
