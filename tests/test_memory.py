"""Memory is counted before a program runs, and a run that would not fit is refused."""

import jax
import jax.numpy as jnp
import pytest

from mplp_lite.run import loop, memory
from mplp_lite.run.errors import RunError
from mplp_lite.run.recipes import find

MIB = 1024**2


def program(function, *shapes):
    return jax.jit(function).lower(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)).compile()


def test_what_a_program_needs_is_what_its_arrays_take():
    """A MiB goes in, one comes out, and between them stands at least one that neither is."""
    needed = memory.needed(program(lambda x: jax.lax.sort(jnp.sin(x) @ x), (512, 512)))
    assert 3 * MIB <= needed < 8 * MIB
    assert memory.needed(program(lambda x: jax.lax.sort(jnp.sin(x) @ x), (512, 512)), devices=4) == 4 * needed


def test_what_takes_the_place_of_an_input_needs_none():
    kept, given = jax.jit(lambda x: x + 1), jax.jit(lambda x: x + 1, donate_argnums=0)
    shape = jax.ShapeDtypeStruct((512, 512), jnp.float32)
    assert memory.needed(kept.lower(shape).compile()) - memory.needed(given.lower(shape).compile()) == MIB


def test_a_lean_program_is_the_same_program():
    assert memory.lean_jit(lambda x: 2 * x + 1, donate_argnums=0)(jnp.float32(3)) == 7


@pytest.fixture
def fresh_options():
    memory._options.cache_clear()
    yield
    memory._options.cache_clear()


def test_only_cpus_are_told(monkeypatch, fresh_options):
    assert memory._options() == memory.LEAN
    memory._options.cache_clear()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert memory._options() == {}


def test_an_option_that_xla_has_dropped_is_left_out(monkeypatch, fresh_options):
    monkeypatch.setattr(memory, "LEAN", {"xla_cpu_there_was_once": True})
    assert memory._options() == {}
    assert memory.lean_jit(jnp.sin)(jnp.float32(0)) == 0


def test_this_machine_says_what_is_free():
    assert 64 * MIB < memory.free() < 2**50


class Accelerator:
    """A device that knows its memory."""

    def memory_stats(self):
        return {"bytes_limit": 80 * MIB, "bytes_in_use": 30 * MIB}


def test_an_accelerator_is_asked_first(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [Accelerator()])
    assert memory.free() == 50 * MIB


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n"])
def test_a_machine_that_does_not_say(monkeypatch, text):
    monkeypatch.setattr(memory.Path, "read_text", lambda path: text)
    assert memory.free() is None
    assert memory.check(program(jnp.sin, (4,))) == "needs 0.00 GiB"


def test_too_little_is_refused_before_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "free", lambda: 1000)
    recipe = find("sinusoid").changed(["widths=1,1", "learner=stateless", "inner_steps=1", "outer_batch=2", "steps=2"])
    with pytest.raises(RunError, match=r"A meta-step needs 0\.00 GiB of 0\.00 GiB free; compute fewer episodes at once"):
        loop.train(recipe, 0, tmp_path, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
