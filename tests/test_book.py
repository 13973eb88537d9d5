"""The book: its table of contents, its configuration, and the browser check that watches its pages."""

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import browser
import front
import notebooks

ROOT = Path(__file__).parents[1]
TEXTS = [*ROOT.glob("book/*.py"), *ROOT.glob("book/*.md"), ROOT / "README.md"]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in TEXTS}
CHAPTERS = sorted(path.stem for path in ROOT.glob("book/*.py"))
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
GOOD_PAGE = """<html lang="en"><head><title>good</title><link rel="icon" href="data:,"></head>
<body><main><article><h1>Fine.</h1></article></main></body></html>"""
BAD_PAGE = """<html><head><title>bad</title></head><body><article>
<p>Forgotten: \\(a^2\\)</p><span class="math">\\(x\\)</span>
<img src="missing.png"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=" alt="plot.png">
<script src="http://example.org/tracker.js"></script><script>undefinedFunction()</script>
<button></button>
<div style="overflow: hidden"><p style="width: 1000px">too wide for a phone</p></div>
<div style="overflow-x: auto"><p style="width: 3000px">this one scrolls</p></div>
<div class="cell_output"><img alt="a figure" width="300"
src="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='1800' height='9'/%3E"></div>
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


def test_one_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    wheels = {name for page in PAGES.values() for name in re.findall(r"mplp_lite-[\d.]+-py3-none-any\.whl", page)}
    assert wheels == {f"mplp_lite-{version}-py3-none-any.whl"}


def test_the_projects_address_stands_in_one_place():
    """`[project.urls]`, and nowhere else; until there is one, nothing is installed from an address, and no button leads to one."""
    address = notebooks.ADDRESS
    assert "repository" not in CONFIG and "launch_buttons" not in CONFIG
    assert ('PACKAGE = ""' in notebooks.COLAB_CELL) == (not address)
    assert [name for name, page in PAGES.items() if re.search(r"github\.com/[\w-]*mplp[\w-]*/", page)] == []


def test_buttons_come_with_an_address(monkeypatch):
    config = SimpleNamespace(html_theme_options={"logo": {}})
    monkeypatch.setitem(front.PROJECT, "urls", {})
    front.add_buttons(None, config)
    assert config.html_theme_options == {"logo": {}}
    monkeypatch.setitem(front.PROJECT, "urls", {"Repository": "https://example.org/book"})
    front.add_buttons(None, config)
    assert config.html_theme_options["repository_url"] == "https://example.org/book"
    assert config.html_theme_options["launch_buttons"] == {"colab_url": "https://colab.research.google.com"}


def test_pages_render_raw_too():
    """What GitHub and Colab show as it stands: no fences and roles that only the book's own markdown knows."""
    assert {name for name, page in PAGES.items() if re.search(r":::|\{(doc|ref|numref|math|admonition|figure)\}`", page)} == set()


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_figure_has_its_caption_below_and_its_alt_text(name):
    """The cell that draws says what is seen, the text below it begins with a caption, and captions are numbered in order."""
    cells = notebooks.read_notebook(ROOT / "book" / f"{name}.ipynb").cells
    drawn = [k for k, cell in enumerate(cells) if any("image/png" in out.get("data", {}) for out in cell.get("outputs", []))]
    alts = [cells[k].metadata.get("mystnb", {}).get("image", {}).get("alt", "") for k in drawn]
    numbers = [re.match(r"<small>\*\*Figure ([\d.]+)\.\*\* .{20}", cells[k + 1].source) for k in drawn]
    chapter = re.match(r"0?([1-9]\d*)_", name)
    assert min(map(len, alts), default=99) > 30
    assert [n and n[1] for n in numbers] == [f"{chapter[1]}.{k}" if chapter else f"{k}" for k in range(1, len(drawn) + 1)]


@pytest.mark.parametrize("name", [name for name in CHAPTERS if name != "00_welcome"])
def test_every_chapter_says_how_long_it_takes_and_what_it_needs(name):
    _, paragraph, *_ = notebooks.read_notebook(ROOT / "book" / f"{name}.ipynb").cells[0].source.split("\n\n")
    told = re.fullmatch(r"\*Reading: about (\d+) minutes\. Running: .*You need: .*\*", paragraph.replace("\n", " "))
    assert told
    row = re.search(rf"\({name}\.ipynb\) \|.*\| (\d+) \|", PAGES["book/00_welcome.py"])
    assert row is None or row[1] == told[1]


def test_no_label_is_smaller_than_the_browser_check_believes():
    """Eight points: it knows how large a figure is shown, and not what is written in it."""
    code = "".join(path.read_text() for path in [*ROOT.glob("mplp_lite/draw/*.py"), *ROOT.glob("book/*.py")])
    sizes = [float(size) for size in re.findall(r"fontsize[=\": ]+([\d.]+)", code)]
    assert min(sizes) >= 8 and len(sizes) > 30


def test_lines_of_code_fit_their_column():
    """88 characters are what a column of 1280 pixels shows without scrolling."""
    cells = {name: notebooks.code_cells(notebooks.read_notebook(ROOT / "book" / f"{name}.ipynb")) for name in CHAPTERS}
    long = {(name, line) for name, found in cells.items() for cell in found for line in cell.source.splitlines() if len(line) > 88}
    assert {(name, line) for name, line in long if not line.startswith("#")} == set()


def test_one_page_is_one_page():
    """Chapter 0 says how many lines there are up to its check against the package, its figure aside; none of them uses the package."""
    page, _, check = (ROOT / "book" / "00_one_page.py").read_text().partition("# ## Checked against the package")
    cells = [cell.partition("\n") for cell in re.split(r"^(?=# %%)", page, flags=re.MULTILINE)]
    code = [text for head, _, text in cells if not re.search(r"markdown|hide-input|skip-execution", head)]
    lines = [line for line in "\n".join(code).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert check and "mplp_lite" not in "".join(lines)
    assert len(lines) <= 205 and f"after {len(lines)} lines of code" in check


@pytest.fixture
def executable():
    """A Chromium that is already here."""
    return browser.installed() or pytest.skip("no Chromium")


def test_browser_passes_a_good_page(tmp_path, executable):
    (tmp_path / "good.html").write_text(GOOD_PAGE)
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
        "at 390: cut off: p 'too wide for a phone'",
        "at 1440: labels of 4.1 px: img 'a figure'",
        "axe: button-name (critical), 1 times",
    ]:
        assert problem in found
    assert "cut off: p 'this one scrolls'" not in found
