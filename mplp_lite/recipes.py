"""The experiments of section 4 by name."""

from dataclasses import replace

from .recipe import Recipe
from .settings import RecipeError

__all__ = ["RECIPES", "Recipe", "RecipeError", "find"]

MNIST = Recipe(
    "mnist-as-published",
    "4.2, exactly",
    family="mnist",
    widths=(144, 50, 10),
    activation="sigmoid",
    loss="cross_entropy",
    message=4,
    hidden=7,
    sharing="learners",
    inner_steps=20,
    inner_batch=8,
    held_out=8,
    outer_batch=1,
    pool=16,
    steps=5_000,
    learning_rate=5e-4,
    final_learning_rate=5e-4,
    calibration_runs=5,
    calibration_momentum=0.5,
)
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "sinusoid",
            "4.1.1, with an annealed learning rate, fresh priors, more data per meta-step, and meta-gradients clipped by episode",
            first_scale=0.03,
            held_out=64,
            outer_batch=8,
            pool=0,
            steps=14_000,
            learning_rate=4e-4,
            warmup=100,
            final_learning_rate=4e-6,
            b2=0.99,
            episode_clip=0.3,
        ),
        Recipe("sinusoid-as-published", "4.1.1, exactly"),
        replace(
            MNIST,
            name="mnist",
            section="4.2, with an annealed learning rate, fresh priors and more held-out images",
            held_out=64,
            pool=0,
            steps=6_000,
            learning_rate=7e-4,
            warmup=100,
            final_learning_rate=7e-6,
            b2=0.99,
        ),
        MNIST,
    )
}


def find(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        RecipeError: if there is none.
    """
    if name not in RECIPES:
        raise RecipeError(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]
