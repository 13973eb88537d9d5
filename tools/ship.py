"""Put the rule of a finished run into the package: `python tools/ship.py RUN`, under the name of its recipe.

What is copied: the rule, the prior if one was learned with it, their card (with all fields that recipes have today), the learning curve.
"""

import sys
from pathlib import Path

from mplp_lite import weights
from mplp_lite.run.recipe import Recipe

PRETRAINED = Path(__file__).resolve().parents[1] / "mplp_lite" / "pretrained"


def ship(run: Path) -> Path:
    """Copies what a run's folder holds; gives the rule's new place."""
    card = weights.load_card(run / "rule")
    recipe = Recipe.from_dict(card["recipe"])
    card, path = {**card, "recipe": recipe.as_dict()}, PRETRAINED / f"{recipe.name}.npz"
    if recipe.learn_prior:
        weights.save(weights.prior_path(path), weights.load_prior(run / "rule", recipe.protocol), card, recipe.protocol)
    weights.save(path, weights.load(run / "rule", recipe.protocol), card, recipe.protocol)
    weights.write_atomically(path.with_suffix(".csv"), (run / "curve.csv").read_bytes())
    return path


if __name__ == "__main__":
    print(ship(Path(sys.argv[1])))
