"""Which results files are missing or stale, and the command that makes each: `make results`.

A results file is stale if a rule that it measures is not the one that is shipped, or if the recipe of a study is no longer the one below.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ablations
from mplp_lite import weights
from mplp_lite.run import recipes, study

ROOT = Path(__file__).resolve().parents[1]
EVALUATE, TRAIN, STUDY = (f"python -m mplp_lite {command}" for command in ("evaluate", "train", "study"))


class Measured(NamedTuple):
    """An evaluation of shipped rules.

    Attributes:
        rule: whose it is.
        beside: rules that are measured with it.
        options: what else the command is told; the authors' vectors are not part of the project.
    """

    rule: str
    beside: tuple[str, ...] = ()
    options: str = "[--published FILE]"

    @property
    def command(self) -> str:
        """What makes it."""
        return " ".join([EVALUATE, self.rule, *(f"--beside {name}" for name in self.beside), self.options]).rstrip()

    def complaints(self, found: dict) -> Iterator[str]:
        """What is no longer true in it."""
        made_with = {self.rule: found["sha256"], **found.get("beside", {})}
        for name in (self.rule, *self.beside):
            if made_with.get(name) != weights.load_card(weights.pretrained_path(name))["sha256"]:
                yield f"it was not made with the {name} rule that is shipped"


class Study(NamedTuple):
    """Several meta-seeds of a recipe, perhaps in several arms.

    Attributes:
        recipe: its name.
        options: what `train` is told.
        changes: what the recipe is changed by, in all arms.
        arms: how many there are.
        seeds: finished runs in each.
        more: what `train` is told for further arms.
        elsewhere: where the rules are taken, as changes of the recipe.
    """

    recipe: str
    options: str
    changes: tuple[str, ...] = ()
    arms: int = 1
    seeds: int = 3
    more: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What makes it."""
        folders = ["runs/{name}", *(f"runs/{{name}}/more-{number}" for number, _ in enumerate(self.more, 1))]
        trained = [f"{TRAIN} {self.recipe} {told} --out {out}" for told, out in zip((self.options, *self.more), folders, strict=True)]
        return " && ".join([*trained, " ".join([f"{STUDY} runs/{{name}}", *(f'--elsewhere "{changes}"' for changes in self.elsewhere)])])

    def complaints(self, found: dict) -> Iterator[str]:
        """What is no longer true in it."""
        wanted = recipes.find(self.recipe).changed(self.changes).as_dict()
        if changed := [name for name, value in found["recipe"].items() if name in wanted and wanted[name] != value]:
            yield f"the recipe has another {', '.join(changed)} by now"
        runs = [len(arm["runs"]) for arm in found["arms"]]
        if len(runs) != self.arms or min(runs) < self.seeds:
            yield f"{self.arms} arms of {self.seeds} runs are wanted, but it has {runs}"
        taken = [set(run.get("elsewhere", {})) for arm in found["arms"] for run in arm["runs"]]
        if any(places != {*self.elsewhere} for places in taken):
            yield f"its rules are to be taken to {', '.join(self.elsewhere) or 'no other place'}"


class Ablations(NamedTuple):
    """The study of `ablations`, whose arms are added as they come."""

    command: str = "make ablations"

    def complaints(self, found: dict) -> Iterator[str]:
        """What is no longer true in it."""
        known = [arm.recipe.as_dict() for arm in ablations.ARMS.values()]
        if others := [recipe for recipe, _ in study.pairs(found) if recipe not in known]:
            yield f"{len(others)} of its runs are of arms that are no longer in the study"


SMALL_DIGITS = (
    '--set "turns=()" --set keep=0 --set source=sklearn --set widths=64,50,10 --set outer_batch=4 --set warmup=20 --steps 200 --seeds 3 '
    "--grid hint=0.0,0.4,0.8"
)
RESULTS = {
    "ablations": Ablations(),
    "sinusoid": Measured("sinusoid"),
    "mnist": Measured("mnist", ("transfer",)),
    "factored": Measured("factored", options=""),
    "prior": Measured("prior", ("prior-frozen", "maml", "maml-tuned", "meta-sgd"), "[--published FILE --published-prior FILE]"),
    "prior-maml": Study("maml", "--grid first_scale=0.02,0.05,0.1,0.2,0.3,0.5", arms=6, seeds=1),
    "meta-sgd": Study("meta-sgd", "--seeds 3"),
    "mnist-meta-adam": Study("mnist-meta-adam", "--seeds 3"),
    "mnist-short": Study("mnist", "--seeds 3 --steps 600 --grid sharing=learners,all", ("steps=600",), arms=2),
    "prior-short": Study("prior", "--seeds 3 --steps 3000 --grid hint=0.0,0.7", ("steps=3000",), arms=2),
    "continual": Study(
        "continual",
        "--seeds 3",
        arms=3,
        more=("--seeds 3 --set hint=0.0", "--seeds 3 --set remember=0.0"),
        elsewhere=("inner_steps=50", "inner_steps=100", "parts=1", "parts=1 inner_steps=100", "parts=2", "parts=10"),
    ),
    "hints": Study(
        "factored",
        f"{SMALL_DIGITS} --set inner_steps=50",
        ("turns=()", "keep=0", "source=sklearn", "widths=64,50,10", "outer_batch=4", "warmup=20", "steps=200"),
        arms=6,
        more=(f"{SMALL_DIGITS} --set inner_steps=10",),
    ),
    "sinusoid-short": Study("sinusoid", "--steps 4700 --seed 1 --seeds 3", ("steps=4700",)),
}


def complaints(name: str, folder: Path = ROOT / "results") -> list[str]:
    """What is wrong with a results file; nothing, if all is well."""
    path = folder / f"{name}.json"
    if not path.exists():
        return ["it is missing"]
    return list(RESULTS[name].complaints(json.loads(path.read_text())))


def main() -> int:
    """Says what is to be done; 1 if there is something."""
    todo = {name: found for name in RESULTS if (found := complaints(name))}
    for name, found in todo.items():
        print(f"results/{name}.json: {'; '.join(found)}\n  {RESULTS[name].command.format(name=name)}")
    if ablations.FILE.exists() and (missing := ablations.missing()):
        print(f"results/ablations.json: still to be trained are {', '.join(missing)}\n  {Ablations().command}")
    print(f"{len(RESULTS) - len(todo)} of {len(RESULTS)} results files are as they should be")
    return int(bool(todo))


if __name__ == "__main__":
    sys.exit(main())
