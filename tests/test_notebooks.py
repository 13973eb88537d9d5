"""The tool that keeps notebooks in step, on a small book of its own, and the state of this checkout's notebooks."""

from pathlib import Path

import nbformat
import pytest

import notebooks

CHAPTER = """# %% [markdown]
# # A chapter

# %% mystnb={"image": {"width": "9px", "alt": "Nothing"}} tags=["hide-input"]
from mplp_lite import answer

# what is it?
print(answer())
"""
PACKAGE = 'def answer():\n    """The answer."""\n    return 42\n'


@pytest.fixture
def root(tmp_path):
    """A small checkout with one chapter whose pair was synced and whose outputs were made here."""
    (tmp_path / "book").mkdir()
    (tmp_path / "mplp_lite").mkdir()
    (tmp_path / "mplp_lite" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "book" / "chapter.py").write_text(CHAPTER)
    assert notebooks.main(["sync", "--root", str(tmp_path)]) == 0
    stamp(tmp_path)
    return tmp_path


def stamp(root):
    """Give the chapter the outputs that a run would."""
    path = root / "book" / "chapter.ipynb"
    nb = notebooks.read_notebook(path)
    [cell] = notebooks.code_cells(nb)
    cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("stream", text="42\n")]
    nb.metadata["mplp"] |= {"fingerprint": notebooks.fingerprint(nb, root), "outputs": notebooks.outputs_digest(nb), "quick": False}
    notebooks.write_notebook(path, nb)


def replace(path, old, new):
    """Edit a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def check(root, capsys):
    """What the check prints, and its verdict."""
    code = notebooks.main(["check", "--root", str(root)])
    return code, capsys.readouterr().out


def test_a_fresh_chapter_passes(root, capsys):
    assert check(root, capsys) == (0, "1 chapters in order\n")


def test_sync_twice_changes_nothing(root):
    files = {path: path.read_bytes() for path in root.glob("book/*")}
    notebooks.main(["sync", "--root", str(root)])
    assert {path: path.read_bytes() for path in root.glob("book/*")} == files


@pytest.mark.parametrize(("old", "new"), [('"""The answer."""', '"""Another docstring."""'), ("return 42", "return 42  # a comment")])
def test_comments_and_docstrings_of_the_package_do_not_count(root, capsys, old, new):
    replace(root / "mplp_lite" / "__init__.py", old, new)
    assert check(root, capsys)[0] == 0


def test_a_comment_in_a_cell_does_not_count_and_keeps_outputs(root, capsys):
    replace(root / "book" / "chapter.py", "# what is it?", "# what can it be?")
    notebooks.main(["sync", "--root", str(root)])
    assert check(root, capsys)[0] == 0


def test_code_of_the_package_counts(root, capsys):
    replace(root / "mplp_lite" / "__init__.py", "42", "43")
    assert "mplp_lite changed" in check(root, capsys)[1]


def test_weights_of_the_package_count(root, capsys):
    (root / "mplp_lite" / "weights.npz").write_bytes(b"weights")
    assert "mplp_lite changed" in check(root, capsys)[1]


def test_code_of_a_cell_counts(root, capsys):
    replace(root / "book" / "chapter.py", "print(answer())", "print(-answer())")
    notebooks.main(["sync", "--root", str(root)])
    assert "its cells or mplp_lite changed" in check(root, capsys)[1]


def test_an_edited_text_is_out_of_sync(root, capsys):
    replace(root / "book" / "chapter.py", "A chapter", "The chapter")
    assert check(root, capsys) == (1, "book/chapter.ipynb: the .py and the .ipynb differ (make sync)\n")


def test_an_edited_output_is_seen(root, capsys):
    replace(root / "book" / "chapter.ipynb", "42", "41")
    assert "its outputs were not made by" in check(root, capsys)[1]


def test_missing_outputs_are_seen(root, capsys):
    replace(root / "book" / "chapter.ipynb", '"execution_count": 1', '"execution_count": null')
    assert "outputs are missing" in check(root, capsys)[1]


def test_quick_outputs_are_seen(root, capsys):
    replace(root / "book" / "chapter.ipynb", '"quick": false', '"quick": true')
    assert "quick mode" in check(root, capsys)[1]


def test_a_missing_colab_cell_is_seen(root, capsys):
    replace(root / "book" / "chapter.ipynb", "google.colab", "google.collab")
    assert "not the standard Colab cell" in check(root, capsys)[1]


def test_an_error_in_an_output_is_seen(root):
    nb = notebooks.read_notebook(root / "book" / "chapter.ipynb")
    [cell] = notebooks.code_cells(nb)
    cell.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    assert notebooks.failed_cells(nb) == [cell]
    cell.metadata["tags"] = ["raises-exception"]
    assert notebooks.failed_cells(nb) == []


def test_half_a_pair_is_seen_and_mended(root, capsys):
    (root / "book" / "chapter.py").unlink()
    assert "missing" in check(root, capsys)[1]
    notebooks.main(["sync", "--root", str(root)])
    assert check(root, capsys)[0] == 0


def test_an_edit_in_the_notebook_reaches_the_text(root):
    replace(root / "book" / "chapter.ipynb", "A chapter", "The chapter")
    notebooks.main(["sync", "--root", str(root)])
    assert "The chapter" in (root / "book" / "chapter.py").read_text()


def test_edits_on_both_sides_are_left_alone(root, capsys):
    replace(root / "book" / "chapter.ipynb", "A chapter", "One chapter")
    replace(root / "book" / "chapter.py", "A chapter", "Two chapters")
    assert notebooks.main(["sync", "--root", str(root)]) == 1
    assert "both files were edited" in capsys.readouterr().out
    assert "Two chapters" in (root / "book" / "chapter.py").read_text()


def test_sync_keeps_cell_ids(root):
    ids = [cell.id for cell in notebooks.read_notebook(root / "book" / "chapter.ipynb").cells]
    replace(root / "book" / "chapter.py", "print(answer())", "print(answer() + 1)")
    notebooks.main(["sync", "--root", str(root)])
    assert [cell.id for cell in notebooks.read_notebook(root / "book" / "chapter.ipynb").cells] == ids


def test_run_makes_outputs_once(root, capsys):
    replace(root / "book" / "chapter.py", "from mplp_lite import answer", "answer = lambda: 7")
    assert notebooks.main(["run", "--root", str(root)]) == 0
    assert "1 of 1 notebooks to run" in capsys.readouterr().out
    nb = notebooks.read_notebook(root / "book" / "chapter.ipynb")
    assert notebooks.code_cells(nb)[0].outputs[0].text == "7\n"
    assert notebooks.main(["run", "--root", str(root)]) == 0
    assert "0 of 1 notebooks to run" in capsys.readouterr().out


def test_run_leaves_a_failing_notebook_as_it_was(root, capsys):
    replace(root / "book" / "chapter.py", "from mplp_lite import answer", "1 / 0")
    notebooks.main(["sync", "--root", str(root)])
    before = (root / "book" / "chapter.ipynb").read_bytes()
    assert notebooks.main(["run", "--root", str(root)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert (root / "book" / "chapter.ipynb").read_bytes() == before


def test_an_unknown_chapter_is_refused(root):
    with pytest.raises(SystemExit, match="no such chapter: none"):
        notebooks.main(["check", "--root", str(root), "none"])


def test_every_notebook_here_has_its_text():
    book = Path(notebooks.HERE).parent / "book"
    assert {path.stem for path in book.glob("*.ipynb")} == {path.stem for path in book.glob("*.py")} != set()
