"""An outer batch in microbatches and over devices, and seeds side by side: everywhere the same numbers."""

import itertools
import json
import os
import subprocess
import sys
from functools import partial

import jax
import numpy as np
import optax
import pytest

from helpers import jit, max_difference
from mplp_lite import GRU, Protocol, meta, mlp, tasks, train, weights
from mplp_lite.__main__ import main
from mplp_lite.folder import Folder, RunError, read_curve
from mplp_lite.recipes import find
from mplp_lite.train import Trainer

SMALL = ["widths=1,4,1", "message=2", "hidden=1", "inner_steps=2", "inner_batch=3", "held_out=4", "outer_batch=8", "steps=10"]
ON_DEVICES = """
import json, sys
import jax, numpy as np
from mplp_lite.recipes import find
from mplp_lite.train import Trainer
found = {"devices": len(jax.devices())}
for devices in (1, 2, 8):
    trainer = Trainer(find("sinusoid").changed(json.loads(sys.argv[1])), 3, devices)
    state, metrics = trainer.compiled()(trainer.begin(), np.arange(4))
    leaves = [np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves(state.rule.trained)]
    found[devices] = {"losses": metrics["loss"].tolist(), "rule": leaves}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def on_eight_devices():
    """Losses and rules of a short run on 1, 2 and 8 devices of one process."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", ON_DEVICES, json.dumps(SMALL)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("devices", ["2", "8"])
def test_any_number_of_devices_gives_the_same_run(on_eight_devices, devices):
    assert on_eight_devices["devices"] == 8
    alone, shared = on_eight_devices["1"], on_eight_devices[devices]
    assert len(alone["losses"]) == 4 and len(set(alone["losses"])) == 4
    np.testing.assert_allclose(shared["losses"], alone["losses"], rtol=1e-5)
    for ours, theirs in zip(shared["rule"], alone["rule"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("microbatch", [1, 2, 3, 5])
def test_microbatches_change_nothing(microbatch):
    protocol = Protocol(mlp(1, 3, 1), GRU(message=2, hidden=1, widths=(5, 4)))
    optimizer = optax.sgd(1.0)
    state = meta.begin(protocol.new_rule(jax.random.key(0)), optimizer)
    priors = meta.prior_pool(protocol, jax.random.key(1), 5)
    episodes = jax.vmap(tasks.Sinusoids(2, 3, 4).episode)(jax.random.split(jax.random.key(2), 5))
    step = partial(meta.meta_step, protocol, meta.MetaLoss(), optimizer, clip=1e-3)
    arguments = (state, priors, episodes, jax.random.key(3))
    (expected, metrics), (found, measured) = jit(step)(*arguments), jit(partial(step, microbatch=microbatch))(*arguments)
    assert max_difference(found.rule.trained, expected.rule.trained) < 1e-7
    assert max_difference(measured, metrics) < 1e-7


@pytest.mark.parametrize(("devices", "sentence"), [(0, "devices=0 was given"), (99, "devices=99 was given, but jax sees")])
def test_devices_that_are_not_there(devices, sentence):
    with pytest.raises(RunError, match=sentence):
        Trainer(find("sinusoid"), 0, devices)


def test_an_outer_batch_that_cannot_be_shared_out(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [None] * 3)
    with pytest.raises(RunError, match="outer_batch=8 cannot be shared out over 3 devices"):
        Trainer(find("sinusoid"), 0, 3)


# ---------------------------------------------------------------- seeds side by side


TINY = find("sinusoid").changed([*SMALL, "outer_batch=2", "steps=30"])


def files(folder):
    """What a run leaves, by name; without its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".npz", ".csv", ".json")}


@pytest.fixture(scope="module")
def no_metric():
    """Cards without a measured metric: measuring takes longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.report, "metric", lambda recipe, rule: {"name": "none", "mean": 0.0, "sd": 0.0})
        yield


@pytest.fixture(scope="module")
def three(tmp_path_factory, no_metric, compiled):
    """The folder of seeds 4, 5 and 6, side by side, unbroken."""
    out = tmp_path_factory.mktemp("three")
    train.train_seeds(TINY, range(4, 7), out, checkpoint_every=10, quiet=True)
    return out


def test_every_seed_trains_as_it_would_alone(three, no_metric, tmp_path):
    assert sorted(path.name for path in three.iterdir()) == ["seed-4", "seed-5", "seed-6"]
    alone = train.train(TINY, 5, tmp_path, quiet=True)
    together = weights.load(three / "seed-5" / "rule", TINY.protocol)
    assert max_difference(together.trained, alone.trained) < 1e-5
    others = [weights.load(three / f"seed-{seed}" / "rule", TINY.protocol) for seed in (4, 6)]
    assert all(max_difference(together.trained, other.trained) > 1e-3 for other in others)
    curves = [read_curve(folder / "curve.csv") for folder in (three / "seed-5", tmp_path)]
    assert [row["step"] for row in curves[0]] == [10, 20, 30]
    np.testing.assert_allclose([row["loss"] for row in curves[0]], [row["loss"] for row in curves[1]], rtol=1e-4)


def test_cards_and_checkpoints_are_each_seeds_own(three):
    for seed in (4, 5, 6):
        card = weights.load_card(three / f"seed-{seed}" / "rule")
        assert (card["seed"], card["steps"], card["recipe"]["steps"]) == (seed, 30, 30)
        template = Trainer(TINY, seed).template()
        assert Folder(three / f"seed-{seed}", TINY, seed).restore(template)[0] == 30


@pytest.mark.parametrize("saved", [1, 2, 5])
def test_seeds_that_a_kill_left_at_different_steps_end_as_if_unbroken(three, no_metric, tmp_path, monkeypatch, saved):
    """Killed after any number of checkpoints, in the middle of a round of three."""
    save, calls = Folder.save, itertools.count(1)

    def save_or_die(folder, *arguments):
        save(folder, *arguments)
        if next(calls) == saved:
            raise KeyboardInterrupt

    monkeypatch.setattr(Folder, "save", save_or_die)
    with pytest.raises(KeyboardInterrupt):
        train.train_seeds(TINY, range(4, 7), tmp_path, checkpoint_every=10, quiet=True)
    monkeypatch.setattr(Folder, "save", save)
    train.train_seeds(TINY, range(4, 7), tmp_path, checkpoint_every=10, quiet=True)
    for seed in (4, 5, 6):
        assert files(tmp_path / f"seed-{seed}") == files(three / f"seed-{seed}")


def test_the_command_line_trains_seeds(no_metric, tmp_path, capsys, compiled):
    changes = [word for assignment in SMALL for word in ("--set", assignment)]
    assert main(["train", "sinusoid", *changes, "--seed", "3", "--seeds", "2", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert [line.partition("the rule is ")[2] for line in told.splitlines()] == [str(tmp_path / f"seed-{k}" / "rule.npz") for k in (3, 4)]
