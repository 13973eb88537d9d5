"""The README's tables, written anew from the results files: `make results`.

A table is found by the beginning of its head; its head and all around it stay as they are.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
Rows = Iterator[tuple[str, ...]]
STEPS_LET_ON = (5, 8, 10, 15, 20, 50)
STEPS_LET_ON_FROM_A_PRIOR = (2, 3, 4, 6, 10, 20)
BESIDE = {
    "prior-frozen": "MPLP, messages as drawn",
    "maml": "MAML 0.05, the published rate",
    "maml-tuned": "MAML 0.3, the best rate",
    "meta-sgd": "Meta-SGD",
    "transfer": "MPLP that travels",
}
STEPS_OF_ANY_AGE = (20, 50, 100, 200, 500, 1000)
CASES = {
    "LeCun weights": "LeCun",
    "step activation": "step",
    "relu activation": "relu",
    "tanh activation": "tanh",
    "784-100-10 at 28x28": "784-100-10",
    "144-200-10": "144-200-10",
    "144-50-50-10": "144-50-50-10",
    "144-50-50-50-10": "144-50-50-50-10",
    "1 image a step": "batch 1",
    "2 images a step": "batch 2",
    "4 images a step": "batch 4",
    "16 images a step": "batch 16",
    "32 images a step": "batch 32",
    "scikit-learn's digits, 64-50-10": "8x8 digits",
    "inverted images": "inverted",
    "pixels exchanged": "permuted",
}


def read(name: str) -> dict[str, Any]:
    """What a results file holds."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text())


def _small(value):
    """A loss, its digits where they say something."""
    return f"{value:.5f}" if value >= 0.00001 else f"{value:.1e}"


def losses_by_step(name: str = "sinusoid") -> Rows:
    """Sinusoids: means by step, and the deviation after the last."""
    found = read(name)
    for method, losses in {**found["methods"], **found["ceilings"]}.items():
        *means, last = map(_small, losses["eval_loss"]["mean"])
        yield BESIDE.get(method, method), *means, f"{last} ± {_small(losses['eval_loss']['sd'][-1])}"


def longer_losses(name: str = "sinusoid", steps: tuple[int, ...] = STEPS_LET_ON) -> Rows:
    """Sinusoids: means of longer runs."""
    case = read(name)["limits"]["longer"]
    for method, losses in case["methods"].items():
        values = [losses["eval_loss"]["mean"][case["steps"].index(step)] for step in steps]
        yield BESIDE.get(method, method), *map(_long, values)


def _long(value):
    """A loss of a run that may have broken down."""
    return f"{value:.4f}" if value < 1 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def _per_cent(found, place=-1):
    return f"{100 * found['mean'][place]:.1f} ± {100 * found['sd'][place]:.1f}"


def accuracies_by_step() -> Rows:
    """Digits: means by step; deviations after the last one, on all test images and on 100."""
    for method, found in read("mnist")["methods"].items():
        means = [_per_cent(found["accuracy"], step).partition(" ")[0] for step in (0, 4, 8, 12, 16)]
        on_100 = _per_cent(found["accuracy_on_100"]) if "accuracy_on_100" in found else "-"
        yield BESIDE.get(method, method), *means, _per_cent(found["accuracy"]), on_100


def ceilings() -> Rows:
    """Digits: what methods without a network make of the same images."""
    for method, found in read("mnist")["ceilings"].items():
        yield method, _per_cent(found["accuracy"])


def accuracies_elsewhere() -> Rows:
    """Digits: of the rule, of the authors', of the one that travels, of the best Adam, case by case."""
    cases = read("mnist")["limits"]
    for step in (20, 50, 100, 200):
        yield f"{step} steps", *_accuracies(cases["longer"], step)
    for row, case in CASES.items():
        if case in cases:
            yield row, *_accuracies(cases[case], 20)


def _accuracies(case, step):
    """Of each method after so many steps."""
    return [_per_cent(found["accuracy"], case["steps"].index(step)) for found in case["methods"].values()]


def factored_by_step() -> Rows:
    """Digits: the factored rule and what else can be done with as many images, one after another or all at once."""
    found = read("factored")
    for shown in (found["limits"]["longer"], found["more_images"]):
        for method, measured in shown["methods"].items():
            steps = shown["steps"]
            cells = (_per_cent(measured["accuracy"], steps.index(step)) if step in steps else "-" for step in STEPS_OF_ANY_AGE)
            yield BESIDE.get(method, method), *cells


def factored_elsewhere() -> Rows:
    """Digits: the factored rule and the best Adam, case by case."""
    cases = read("factored")["limits"]
    for row, case in CASES.items():
        yield row, *_accuracies(cases[case], 20)
    yield "step activation, 200 steps", *_accuracies(cases["step, longer"], 200)


def speeds() -> Rows:
    """Seconds per meta-step, machine by machine."""
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        for name, found in json.loads(path.read_text())["recipes"].items():
            authors = (f"{found['authors_s'][1]:.3f}", f"{found['ratio'][1]:.2f}") if "ratio" in found else ("-", "-")
            label = f"`{name}`" + (", AVX2" if path.stem.endswith("avx2") else "")
            cells = (authors[0], f"{found['meta_step_s'][1]:.3f}", authors[1], f"{found['limit_s']:.3f}", str(found["peak_mib_running"]))
            yield label, str(found["outer_batch"]), *cells


TABLES: dict[str, Callable[[], Rows]] = {
    "| after ... inner steps | 0 | 1 |": losses_by_step,
    "| let run on, after ... inner steps | 5 |": longer_losses,
    "| from a learned prior, after ... inner steps |": partial(losses_by_step, "prior"),
    "| from a learned prior, let run on, after ... inner steps |": partial(longer_losses, "prior", STEPS_LET_ON_FROM_A_PRIOR),
    "| after ... inner steps | 0 | 4 |": accuracies_by_step,
    "| all 160 images at once, no network |": ceilings,
    "| digits | MPLP |": accuracies_elsewhere,
    "| one thought a step, after ... inner steps |": factored_by_step,
    "| one thought a step, elsewhere |": factored_elsewhere,
    "| recipe | tasks |": speeds,
}


def written(text: str) -> str:
    """The README with its tables as the results files have them.

    Raises:
        ValueError: if a table is missing.
    """
    for head, rows in TABLES.items():
        table = re.compile(rf"({re.escape(head)}[^\n]*\n\|[-|]+\|\n)((?:\|[^\n]*\n)*)")
        if len(table.findall(text)) != 1:
            raise ValueError(f"The README has no table that begins with {head!r}, or several; put it back.")
        lines = "".join(f"| {' | '.join(row)} |\n" for row in rows())
        text = table.sub(lambda found, lines=lines: found[1] + lines, text)
    return text


def main() -> None:
    """Writes the tables."""
    before = README.read_text()
    after = written(before)
    README.write_text(after)
    print("the README's tables are as they were" if after == before else "the README's tables have been written anew")


if __name__ == "__main__":
    sys.exit(main())
