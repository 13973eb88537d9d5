"""The experiments of section 4 by name."""

from dataclasses import replace

from ..checks import shown
from .recipe import Recipe, RecipeError

MNIST = Recipe(
    "mnist-as-published",
    "4.2, as in the published code",
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
PRIOR = Recipe(
    "prior",
    "4.1.2, with trained message networks, an annealed learning rate and more data per meta-step",
    learner="stateless",
    inner_steps=2,
    held_out=64,
    outer_batch=8,
    pool=0,
    learn_prior=True,
    hint=0.0,
    steps=30_000,
    learning_rate=1e-3,
    warmup=100,
    final_learning_rate=1e-5,
    b2=0.99,
    episode_clip=0.3,
)
DIGITS = replace(
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
)
FACTORED_TURNS = (
    "activation=relu",
    "activation=sigmoid*2 widths=100,30,10 view=mixed",
    "activation=tanh view=inverted",
    "activation=sigmoid*4 view=taught",
    "widths=256,80,10",
    "activation=sigmoid*8 view=edges",
    "widths=144,50,50,10",
    "activation=relu widths=100,30,10 view=blobs",
    "activation=sigmoid*2 inner_batch=2",
    "activation=tanh widths=196,100,10 view=enlarged",
    "activation=sigmoid*4 inner_batch=32 view=faint",
)
FACTORED = replace(
    DIGITS,
    name="factored",
    section="beyond the paper: asked once per synapse, on networks and images of many kinds, to win, to travel and to last",
    learner="factored",
    learner_widths=(32,),
    sharing="kinds",
    message=8,
    hidden=8,
    first_scale=0.03,
    outer_batch=8,
    keep=16,
    turns=FACTORED_TURNS,
    hint=0.4,
    steps=3_000,
    learning_rate=2e-3,
    warmup=200,
    final_learning_rate=2e-5,
    episode_clip=1.0,
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
        Recipe("sinusoid-as-published", "4.1.1, as in the published code"),
        PRIOR,
        replace(PRIOR, name="prior-hints", section="4.1.2, the same with the hint losses of 4.1.1", hint=0.7),
        replace(PRIOR, name="prior-frozen", section="4.1.2, the same with message networks frozen as drawn", train_messages=False),
        replace(PRIOR, name="maml", section="4.1.2, the baseline at its published rate", learner="maml", first_scale=0.05),
        replace(PRIOR, name="maml-tuned", section="4.1.2, the baseline at its best rate", learner="maml", first_scale=0.3),
        replace(PRIOR, name="meta-sgd", section="4.1.2, the baseline with a rate for each weight", learner="meta-sgd", first_scale=0.2),
        replace(
            PRIOR,
            name="prior-as-published",
            section="4.1.2, as in the published code",
            train_messages=False,
            held_out=10,
            outer_batch=4,
            steps=258_202,
            learning_rate=1e-4,
            warmup=0,
            final_learning_rate=1e-4,
            b2=0.999,
            episode_clip=0.0,
        ),
        DIGITS,
        replace(
            DIGITS,
            name="transfer",
            section="4.2, going on from mnist with half-trained networks and steeper activations, to last and to travel",
            first="mnist",
            keep=16,
            turns=("activation=sigmoid*2", "activation=sigmoid*4", "activation=sigmoid*8"),
            hint=0.3,
            steps=1_500,
            learning_rate=1.2e-4,
            final_learning_rate=1.2e-6,
        ),
        FACTORED,
        replace(
            FACTORED,
            name="continual",
            section="beyond the paper: going on from factored with digits that come two by two, to keep the first ones",
            first="factored",
            parts=5,
            turns=("inner_steps=40",),
            remember=0.5,
            steps=600,
            learning_rate=8e-4,
            warmup=50,
            final_learning_rate=8e-6,
        ),
        MNIST,
        replace(
            MNIST,
            name="mnist-meta-adam",
            section="4.2, a baseline: Adam with learned rates and decays",
            learner="meta-adam",
            first_scale=0.02,
            held_out=64,
            outer_batch=8,
            pool=0,
            hint=0.3,
            steps=2_000,
            learning_rate=3e-3,
            warmup=100,
            final_learning_rate=1e-5,
            b2=0.99,
        ),
    )
}


def find(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        RecipeError: if there is none.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise RecipeError(f"There is no recipe {shown(name)}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]
