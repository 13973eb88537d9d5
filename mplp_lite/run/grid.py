"""Arms of an experiment: one recipe with every combination of some fields' values, each with several seeds."""

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from .experiment import Experiment
from .recipe import Recipe, RecipeError


class Arm(NamedTuple):
    """One meta-training: what is trained, from which seed, and where it is kept.

    Attributes:
        recipe: what is trained: a `Recipe` or an `Experiment`.
        seed: draws everything.
        out: its folder.
    """

    recipe: Recipe | Experiment
    seed: int
    out: Path


def arms(recipe: Recipe, axes: Sequence[str], seeds: Iterable[int], out: Path) -> list[Arm]:
    """Every combination of the axes' values with every seed, each in `out/FIELD=VALUE/.../seed-SEED`.

    Args:
        recipe: what the arms have in common.
        axes: `"field=a,b,c"`; values of `widths` and `learner_widths`, which have commas of their own, are parted by `/`.
        seeds: of each combination.
        out: the folder of all.

    Raises:
        RecipeError: if an axis is none, names a field or a value twice, or a combination cannot be.
    """
    choices = [_assignments(axis) for axis in axes]
    fields = [values[0].partition("=")[0] for values in choices]
    repeated = {field for field in fields if fields.count(field) > 1}
    if repeated:
        raise RecipeError(f"The grid names {', '.join(sorted(repeated))} twice; give all values of a field at once: field=a,b,c.")
    recipes = [(combination, recipe.changed(combination)) for combination in product(*choices)]
    return [Arm(changed, seed, Path(out, *combination, f"seed-{seed}")) for combination, changed in recipes for seed in seeds]


def _assignments(axis):
    field, _, values = axis.partition("=")
    found = [f"{field}={value}" for value in values.split("/" if field.endswith("widths") else ",")]
    if not values or len(set(found)) < len(found):
        raise RecipeError(f"{axis!r} is no axis of a grid; write field=a,b,c with different values.")
    return found


def groups(trained: Sequence[Arm]) -> list[list[Arm]]:
    """The arms by what they compile to: those of one group can be trained side by side in one compiled step."""
    found = {}
    for arm in trained:
        found.setdefault(arm.recipe.program, []).append(arm)
    return list(found.values())
