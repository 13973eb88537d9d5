"""Settings for the whole session, and where the authors' artefacts lie."""

import functools
import os
import tempfile
from pathlib import Path

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", f"{tempfile.gettempdir()}/hypothesis")  # nothing is left in the checkout
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
import pytest  # noqa: E402

from mplp_lite.run import loop  # noqa: E402
from mplp_lite.run.trainer import Trainer  # noqa: E402

REFERENCE = Path(__file__).parents[1] / "../shared/reference"

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")  # what is equal on a CPU is equal on a GPU, too


def _mixing_dtypes(make):
    """An optax optimizer that may mix dtypes: optax counts steps in whole numbers and takes powers of them."""

    def made(*args, **kwargs):
        optimizer = make(*args, **kwargs)

        def update(*args, **kwargs):
            with jax.numpy_dtype_promotion("standard"):
                return optimizer.update(*args, **kwargs)

        return optimizer._replace(update=update)

    return made


optax.adam, optax.scale_by_adam = _mixing_dtypes(optax.adam), _mixing_dtypes(optax.scale_by_adam)

hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True, max_examples=10)
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def reference():
    """The folder of the authors' artefacts; the project never needs it to run."""
    if not REFERENCE.is_dir():
        pytest.skip("no ../shared/reference beside this checkout")
    return REFERENCE.resolve()


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """What a module compiled is not carried through all later ones: it would add up to gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture
def optimized():
    """Compiles as usual: long computations gain more from it than it costs."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def compile_once():
    """Equal trainers share their compiled functions and first state; otherwise each run of a module would trace them anew."""
    first_state = functools.cache(lambda trainer, begin=Trainer.begin: jax.device_get(begin(trainer)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "begin", lambda trainer: jax.tree.map(jnp.asarray, first_state(trainer)))
        patch.setattr(Trainer, "compiled", functools.cache(Trainer.compiled))
        patch.setattr(loop, "side_by_side", functools.cache(loop.side_by_side))
        patch.setattr(Trainer, "template", functools.cache(Trainer.template))
        yield
