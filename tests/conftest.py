"""Settings for the whole session, and where the authors' artefacts lie."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", f"{tempfile.gettempdir()}/hypothesis")  # nothing is left in the checkout

import hypothesis  # noqa: E402
import jax  # noqa: E402
import optax  # noqa: E402
import pytest  # noqa: E402
from jax.experimental.compilation_cache.compilation_cache import reset_cache  # noqa: E402

REFERENCE = Path(__file__).parents[1] / "../shared/reference"

if not jax.config.jax_platforms:
    jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # networks here are tiny: compiling them is what takes time


def _mixing_dtypes(make):
    """An optax optimiser that may mix dtypes: optax counts steps in whole numbers and takes powers of them."""

    def made(*args, **kwargs):
        optimizer = make(*args, **kwargs)

        def update(*args, **kwargs):
            with jax.numpy_dtype_promotion("standard"):
                return optimizer.update(*args, **kwargs)

        return optimizer._replace(update=update)

    return made


optax.adam = _mixing_dtypes(optax.adam)

hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True, max_examples=10)
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def reference():
    """The folder of the authors' artefacts; the project never needs it to run."""
    if not REFERENCE.is_dir():
        pytest.skip("no ../shared/reference beside this checkout")
    return REFERENCE.resolve()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Equal programs are compiled once, by the processes a test starts too: where they are kept."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for values in (settings, before):
        for name, value in values.items():
            jax.config.update(name, value)
        reset_cache()
        if values is settings:
            yield settings
