"""An outer batch in microbatches and over devices, seeds and arms side by side: everywhere the same numbers."""

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
from mplp_lite import GRU, Protocol, meta, mlp, tasks, weights
from mplp_lite.__main__ import main
from mplp_lite.run import loop, memory
from mplp_lite.run.errors import RunError
from mplp_lite.run.folder import Folder, read_curve
from mplp_lite.run.grid import arms, groups
from mplp_lite.run.loop import Trainer
from mplp_lite.run.recipes import RecipeError, find

SMALL = ["widths=1,1", "learner=stateless", "message=1", "inner_steps=2", "inner_batch=3", "held_out=4", "outer_batch=8", "steps=10"]
pytestmark = pytest.mark.usefixtures("compile_once")
ON_DEVICES = """
import json, sys
import jax, numpy as np
from mplp_lite.run.grid import arms, groups
from mplp_lite.run.recipes import RecipeError, find
from mplp_lite.run.trainer import Trainer, side_by_side
recipe, found = find("sinusoid").changed(json.loads(sys.argv[1])), {"devices": len(jax.devices())}
begun = jax.device_get(Trainer(recipe, 3).begin())
for devices in (1, 2, 8):
    state, metrics = Trainer(recipe, 3, devices).compiled()(begun, np.arange(4))
    leaves = [np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves(state.rule.trained)]
    found[devices] = {"losses": metrics["loss"].tolist(), "rule": leaves}
trainers = tuple(Trainer(recipe, seed, 2) for seed in (2, 3))
states, metrics = side_by_side(trainers)([begun, begun], np.arange(4), trainers[0].data)
leaves = [np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves(states[1].rule.trained)]
found["2, beside another seed"] = {"losses": metrics[1]["loss"].tolist(), "rule": leaves}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def on_eight_devices():
    """Losses and rules of a short run on 1, 2 and 8 devices of one process."""
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", ON_DEVICES, json.dumps(SMALL)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("devices", ["2", "8", "2, beside another seed"])
def test_any_number_of_devices_gives_the_same_run(on_eight_devices, devices):
    assert on_eight_devices["devices"] == 8
    alone, shared = on_eight_devices["1"], on_eight_devices[devices]
    assert len(alone["losses"]) == 4 and len(set(alone["losses"])) == 4
    np.testing.assert_allclose(shared["losses"], alone["losses"], rtol=1e-5)
    for ours, theirs in zip(shared["rule"], alone["rule"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.fixture(scope="module")
def in_microbatches():
    """One meta-step of five episodes, by how many are computed at once: the bytes it needs, the rule and the metrics."""
    protocol, optimizer = Protocol(mlp(1, 1), GRU(message=1, hidden=1, widths=(3, 2))), optax.sgd(1.0)
    state = meta.begin(protocol.new_rule(jax.random.key(0)), optimizer)
    episodes = jax.vmap(tasks.Sinusoids(2, 30, 4).episode)(jax.random.split(jax.random.key(2), 5))
    arguments = (state, meta.prior_pool(protocol, jax.random.key(1), 5), episodes, jax.random.key(3))

    def computed(microbatch):
        step = partial(meta.meta_step, protocol, meta.MetaLoss(), optimizer, clip=1e-3, microbatch=microbatch)
        program = jit(step).lower(*arguments).compile()
        found, metrics = program(*arguments)
        return memory.needed(program), found.rule.trained, metrics

    return {microbatch: computed(microbatch) for microbatch in (0, 1, 2, 5)}


@pytest.mark.parametrize("microbatch", [1, 2, 5])
def test_microbatches_change_nothing(in_microbatches, microbatch):
    assert max_difference(in_microbatches[microbatch][1:], in_microbatches[0][1:]) < 1e-7


def test_fewer_episodes_at_once_need_less_memory(in_microbatches):
    assert 2 * in_microbatches[1][0] < in_microbatches[0][0]


@pytest.mark.parametrize(("devices", "sentence"), [(0, "devices=0 was given"), (99, "devices=99 was given, but jax sees")])
def test_devices_that_are_not_there(devices, sentence):
    with pytest.raises(RunError, match=sentence):
        Trainer(find("sinusoid"), 0, devices)


def test_an_outer_batch_that_cannot_be_shared_out(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [None] * 3)
    with pytest.raises(RunError, match="outer_batch=8 cannot be shared out over 3 devices"):
        Trainer(find("sinusoid"), 0, 3)


def test_several_hosts_use_all_their_devices(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [None] * 4)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(RunError, match="devices=2 was given, but 2 hosts have 4, and all must take part"):
        Trainer(find("sinusoid"), 0, 2)
    assert Trainer(find("sinusoid"), 0, 4).devices == 4


# ---------------------------------------------------------------- seeds side by side


TINY = find("sinusoid").changed([*SMALL, "outer_batch=2", "steps=30"])


def files(folder):
    """What a run leaves, by name; without its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".npz", ".csv", ".json")}


@pytest.fixture(scope="module")
def no_metric():
    """Cards without a measured metric: measuring takes longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.report, "metric", lambda *_, **__: {"name": "none", "mean": 0.0, "sd": 0.0})
        yield


@pytest.fixture(scope="module")
def three(tmp_path_factory, no_metric):
    """The folder of seeds 4, 5 and 6, side by side, unbroken."""
    out = tmp_path_factory.mktemp("three")
    loop.train_arms(arms(TINY, [], range(4, 7), out), checkpoint_every=10, quiet=True)
    return out


def test_every_seed_trains_as_it_would_alone(three, no_metric, tmp_path):
    assert sorted(path.name for path in three.iterdir()) == ["seed-4", "seed-5", "seed-6"]
    alone = loop.train(TINY, 5, tmp_path, quiet=True)
    together = weights.load(three / "seed-5" / "rule", TINY.protocol)
    assert max_difference(together.trained, alone.rule.trained) < 1e-5
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
        loop.train_arms(arms(TINY, [], range(4, 7), tmp_path), checkpoint_every=10, quiet=True)
    monkeypatch.setattr(Folder, "save", save)
    loop.train_arms(arms(TINY, [], range(4, 7), tmp_path), checkpoint_every=10, quiet=True)
    for seed in (4, 5, 6):
        assert files(tmp_path / f"seed-{seed}") == files(three / f"seed-{seed}")


def test_the_command_line_trains_seeds(no_metric, tmp_path, capsys):
    changes = [word for assignment in SMALL for word in ("--set", assignment)]
    assert main(["train", "sinusoid", *changes, "--seed", "3", "--seeds", "2", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert [line.partition("the rule is ")[2] for line in told.splitlines()] == [str(tmp_path / f"seed-{k}" / "rule.npz") for k in (3, 4)]


# ---------------------------------------------------------------- grids


def test_a_grid_is_every_combination_with_every_seed(tmp_path):
    found = arms(TINY, ["hint=0.2,0.7", "widths=1,4,1/1,1"], (3, 4), tmp_path)
    assert len(found) == len(set(found)) == 8
    told = [(arm.recipe.hint, arm.recipe.widths, arm.seed) for arm in found]
    assert told[:3] == [(0.2, (1, 4, 1), 3), (0.2, (1, 4, 1), 4), (0.2, (1, 1), 3)]
    assert found[3].out == tmp_path / "hint=0.2" / "widths=1,1" / "seed-4"


AXES = {
    "hint": "is no axis",
    "hint=": "is no axis",
    "hint=0.2,0.2": "different values",
    "hint=0.2,high": "hint=high was given",
    "hint=0.2,": "hint= was given",
    "nope=1,2": "'nope=1' sets nothing",
    "learning_rate=1e-3,1e-9": "final_learning_rate=",
}


@pytest.mark.parametrize(("axis", "sentence"), AXES.items())
def test_an_axis_that_is_none(axis, sentence, tmp_path):
    with pytest.raises(RecipeError, match=sentence):
        arms(TINY, [axis], [0], tmp_path)


def test_a_field_named_twice(tmp_path):
    with pytest.raises(RecipeError, match="names hint twice"):
        arms(TINY, ["hint=0.2", "hint=0.3"], [0], tmp_path)


def test_arms_that_differ_in_numbers_share_a_program_and_others_are_queued(tmp_path):
    numbers = ["hint=0.2,0.7", "learning_rate=1e-3,2e-3", "final_learning_rate=0,1e-6", "b2=0.9,0.99", "episode_clip=0,0.3"]
    assert len(groups(arms(TINY, [*numbers, "first_scale=0.01,0.1"], (0, 1), tmp_path))) == 1
    programs = ["steps=10,20", "widths=1,4,1/1,5,1", "outer_batch=1,2", "warmup=1,2", "pool=0,7", "microbatch=1,2", "activation=relu,tanh"]
    for axis in programs:
        assert [len(group) for group in groups(arms(TINY, [axis, "hint=0.2,0.7"], [0], tmp_path))] == [2, 2], axis


def distance(trained, others):
    """Mean absolute difference of all their values."""
    pairs = zip(jax.tree.leaves(trained), jax.tree.leaves(others), strict=True)
    return np.concatenate([np.abs(np.asarray(a) - np.asarray(b)).ravel() for a, b in pairs]).mean()


@pytest.mark.slow
def test_every_arm_trains_as_it_would_alone(no_metric, tmp_path):
    """Both in one compiled step and queued: here two programs, one of them with numbers of every kind.

    Adam turns rounding into steps where a gradient is next to nothing, hence the mean, and what it is compared with.
    """
    recipe = TINY.changed(["final_learning_rate=1e-4", "b2=0.9", "warmup=4", "hint=0.1", "steps=10"])
    trained = arms(recipe, ["learning_rate=0.002,0.001", "episode_clip=0.0,0.003"], [2], tmp_path / "grid")
    trained += arms(recipe, ["steps=20"], [2], tmp_path / "grid")
    loop.train_arms(trained, quiet=True)
    rules = [weights.load(arm.out / "rule", arm.recipe.protocol).trained for arm in trained]
    apart = min(distance(one, other) for one, other in itertools.combinations(rules, 2))
    for number in (0, 3, 4):
        arm = trained[number]
        alone = loop.train(arm.recipe, arm.seed, tmp_path / str(number), quiet=True)
        assert distance(rules[number], alone.rule.trained) < 0.01 * apart
        assert weights.load_card(arm.out / "rule")["recipe"] == arm.recipe.as_dict()


def test_the_command_line_trains_a_grid(no_metric, tmp_path, capsys):
    changes = [word for assignment in SMALL for word in ("--set", assignment)]
    assert main(["train", "sinusoid", *changes, "--grid", "hint=0.2,0.7", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert [line.partition("the rule is ")[2] for line in output.out.splitlines()] == [
        str(tmp_path / f"hint={hint}" / "seed-0" / "rule.npz") for hint in (0.2, 0.7)
    ]
    assert "compiled in" in output.err and "GiB" in output.err
    assert main(["train", "sinusoid", "--grid", "hint=2,3"]) == 2
    assert "hint=2" in capsys.readouterr().err
