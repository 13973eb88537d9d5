"""Keep the book's notebooks in step with their text and with the package.

    python tools/notebooks.py sync            bring the two files of each chapter together
    python tools/notebooks.py run [--all]     sync, then re-run what is stale, or everything
    python tools/notebooks.py check           one line per problem; exit 1 if there is any

A chapter is a pair: `book/NAME.py` (py:percent, the text people review) and `book/NAME.ipynb` (the same cells with their
outputs). The notebook's metadata remembers, under "mplp", three digests: of the text at the last sync, of the code its
outputs came from (its own cells and what they import of `mplp_lite`, comments and docstrings aside), and of those outputs.
Chapter names after the command restrict it to them.
"""

import argparse
import copy
import os
import sys
import time
import tomllib
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import load_jupytext_config
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from canonical import cell_code, digest, package_code

HERE = Path(__file__).resolve().parent
JUPYTEXT = load_jupytext_config(str(HERE))
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf8"))["project"]
ADDRESS = PROJECT.get("urls", {}).get("Repository", "")  # the one place that holds it
COLAB_TAGS = ["skip-execution", "nbval-skip", "remove-cell"]
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


def colab_cell(address: str) -> str:
    """The standard first cell; it installs from `address`, or, where that is empty, from what its reader names."""
    text = (HERE / "colab_cell.py").read_text(encoding="utf8").strip()
    return text.replace('PACKAGE = ""', f'PACKAGE = "git+{address}"') if address else text


COLAB_CELL = colab_cell(ADDRESS)


class Conflict(Exception):
    """Both files of a pair were edited since they last agreed."""


# ---- what the outputs depend on


def code_cells(nb) -> list:
    """The cells that are executed."""
    return [c for c in nb.cells if c.cell_type == "code" and c.source.strip() and "skip-execution" not in c.metadata.get("tags", [])]


def fingerprint(nb, root: Path) -> str:
    """The digest of all code that decides a notebook's outputs."""
    cells = [cell.source for cell in code_cells(nb)]
    return digest([[cell_code(source) for source in cells], package_code(root, cells)])


def outputs_digest(nb) -> str:
    """The digest of a notebook's outputs as they are."""
    return digest([[cell.execution_count, cell.outputs] for cell in code_cells(nb)])


# ---- files


def chapters(root: Path, names: list[str]) -> list[Path]:
    """The notebooks of the book, whichever file of the pair exists, or those that are named."""
    files = [*root.glob("book/*.py"), *root.glob("book/*.ipynb")]
    found = sorted({path.with_suffix(".ipynb") for path in files})
    wanted = {Path(name).stem for name in names}
    if unknown := wanted - {path.stem for path in found}:
        sys.exit(f"no such chapter: {', '.join(sorted(unknown))}")
    return [path for path in found if not wanted or path.stem in wanted]


def read_notebook(path: Path):
    """The notebook at `path`, or None."""
    return nbformat.read(path, as_version=4) if path.exists() else None


def read_text(path: Path) -> str | None:
    """The text at `path`, or None."""
    return path.read_text(encoding="utf8") if path.exists() else None


def write(path: Path, text: str) -> None:
    """Put `text` at `path` in one step, so that no half-written file is ever seen."""
    if text == read_text(path):
        return
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf8", newline="\n")
    os.replace(part, path)


def write_notebook(path: Path, nb) -> None:
    """Write a notebook with the metadata every chapter shares."""
    nb.metadata = nbformat.from_dict(METADATA | {"mplp": nb.metadata.get("mplp", {})})
    write(path, nbformat.writes(nb) + "\n")


def to_text(nb) -> str:
    """A notebook as py:percent."""
    nb = copy.deepcopy(nb)
    nb.metadata = nbformat.from_dict({k: v for k, v in METADATA.items() if k != "language_info"})
    return jupytext.writes(nb, fmt="py:percent", config=JUPYTEXT)


# ---- sync


def put_colab_cell(nb) -> None:
    """Make the first code cell the standard one, after the title."""
    first = next((cell for cell in nb.cells if cell.cell_type == "code"), None)
    if first is None or first.metadata.get("tags") != COLAB_TAGS:
        first = nbformat.v4.new_code_cell(metadata={"tags": COLAB_TAGS})
        nb.cells.insert(1, first)
    first.source = COLAB_CELL


def merge(nb, text: str | None):
    """The notebook that a pair should be: the side edited since the last sync wins, the text where nothing is known."""
    if text is None:
        return nb
    from_text = jupytext.reads(text, fmt="py:percent", config=JUPYTEXT)
    if nb is None:
        return from_text
    agreed = nb.metadata.get("mplp", {}).get("text")
    if agreed and digest(to_text(nb)) != agreed:
        if digest(text) != agreed and text != to_text(nb):
            raise Conflict("both files were edited; keep one: git checkout the other, then sync")
        return nb
    return combine_inputs_with_outputs(from_text, nb, fmt="py:percent")


def sync(path: Path) -> None:
    """Bring the two files of a chapter together, keeping cell ids and outputs."""
    nb = merge(read_notebook(path), read_text(path.with_suffix(".py")))
    put_colab_cell(nb)
    nb = nbformat.reads(nbformat.writes(nb), as_version=4)  # as it will be read: with sorted metadata
    text = to_text(nb)
    nb.metadata["mplp"] = nb.metadata.get("mplp", {}) | {"text": digest(text)}
    write_notebook(path, nb)
    write(path.with_suffix(".py"), text)


# ---- run


def is_quick() -> bool:
    """Is the MPLP_QUICK switch on?"""
    return os.environ.get("MPLP_QUICK", "0") not in ("", "0")


def stale(nb, root: Path, quick_will_do: bool = False) -> str | None:
    """Why a notebook's outputs cannot be shown, or None."""
    made = nb.metadata.get("mplp", {})
    if any(cell.execution_count is None for cell in code_cells(nb)):
        return "outputs are missing"
    if made.get("fingerprint") != fingerprint(nb, root):
        return "its cells or mplp_lite changed since its outputs were made"
    if made.get("outputs") != outputs_digest(nb):
        return "its outputs were not made by `make notebooks`"
    return "its outputs were made in quick mode" if made.get("quick") and not quick_will_do else None


def execute(nb, folder: Path) -> None:
    """Run all cells in `folder`, without progress bars and XLA's alarms about slow machines, as long as it takes.

    What a cell prints is one piece, however slowly it came.
    """
    options = {"timeout": None, "kernel_name": "python3", "record_timing": False, "extra_arguments": ["--log-level=ERROR"]}
    client = NotebookClient(nb, resources={"metadata": {"path": str(folder)}}, coalesce_streams=True, **options)
    client.execute(env=os.environ | {"TQDM_DISABLE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"})


def run(path: Path, root: Path) -> bool:
    """Run one notebook and store its outputs; where a cell fails, say which and leave the file as it was."""
    nb, start, name = read_notebook(path), time.perf_counter(), path.relative_to(root)
    print(f"running {name}", flush=True)
    before = fingerprint(nb, root)
    try:
        execute(nb, path.parent)
    except (CellExecutionError, DeadKernelError) as error:
        print(f"FAILED {name}, left as it was:\n{error}", flush=True)
        return False
    nb.metadata["mplp"] |= {"fingerprint": before, "outputs": outputs_digest(nb), "quick": is_quick()}
    write_notebook(path, nb)
    print(f"ran {name} in {time.perf_counter() - start:.0f} s", flush=True)
    return True


# ---- check


def has_colab_cell(nb) -> bool:
    """Is the first code cell the standard one?"""
    first = next((cell for cell in nb.cells if cell.cell_type == "code"), None)
    return first is not None and first.source == COLAB_CELL and first.metadata.get("tags") == COLAB_TAGS


def failed_cells(nb) -> list:
    """The cells that show an error which no `raises-exception` tag announces."""
    cells = [cell for cell in code_cells(nb) if "raises-exception" not in cell.metadata.get("tags", [])]
    return [cell for cell in cells if any(output.output_type == "error" for output in cell.outputs)]


def problems(path: Path, root: Path) -> list[str]:
    """All that is wrong with one chapter."""
    nb, text = read_notebook(path), read_text(path.with_suffix(".py"))
    if nb is None or text is None:
        return ["one file of the pair is missing (make sync)"]
    found = [] if text == to_text(nb) else ["the .py and the .ipynb differ (make sync)"]
    found += [] if has_colab_cell(nb) else ["the first code cell is not the standard Colab cell (make sync)"]
    found += ["a cell shows an error (make book)"] if failed_cells(nb) else []
    reason = stale(nb, root)
    return found + [f"{reason} (make book)"] * bool(reason)


# ---- command line


def sync_all(paths: list[Path], root: Path) -> bool:
    """Sync every chapter; False if one could not be."""
    try:
        for path in paths:
            sync(path)
    except Conflict as conflict:
        print(f"{path.relative_to(root)}: {conflict}")
        return False
    return True


def run_all(paths: list[Path], root: Path, everything: bool) -> bool:
    """Run the stale notebooks, or all; False if one failed."""
    due = [path for path in paths if everything or stale(read_notebook(path), root, quick_will_do=is_quick())]
    print(f"{len(due)} of {len(paths)} notebooks to run", flush=True)
    return all([run(path, root) for path in due])


def check_all(paths: list[Path], root: Path) -> bool:
    """Print one line per problem; False if there is one."""
    lines = [f"{path.relative_to(root)}: {problem}" for path in paths for problem in problems(path, root)]
    print("\n".join(lines) or f"{len(paths)} chapters in order")
    return not lines


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["sync", "run", "check"])
    parser.add_argument("chapters", nargs="*")
    parser.add_argument("--all", action="store_true", help="run: also what is not stale")
    parser.add_argument("--root", type=Path, default=HERE.parent, help="the checkout (default: this one)")
    options = parser.parse_intermixed_args(arguments)
    root = options.root.resolve()
    paths = chapters(root, options.chapters)
    if options.command == "check":
        return 0 if check_all(paths, root) else 1
    done = sync_all(paths, root) and (options.command == "sync" or run_all(paths, root, options.all))
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
