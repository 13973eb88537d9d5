"""Meta-training that is broken off: killed, interrupted, out of disk, twice at once, with damaged files, with nan.

What must hold: the end is bit-identical, nothing good is overwritten, and the user is told what happened in one sentence.
"""

import errno
import fcntl
import itertools
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mplp_lite import recipes, tasks, weights
from mplp_lite.__main__ import main
from mplp_lite.run import loop
from mplp_lite.run.errors import Interrupted, RunError
from mplp_lite.run.folder import Folder, _digest
from mplp_lite.run.loop import CHUNK, Trainer

pytestmark = pytest.mark.usefixtures("compile_once")
TINY = "widths=1,1 learner=stateless message=1 inner_steps=2 inner_batch=3 held_out=3 outer_batch=1 warmup=0 pool=2".split()
STEPS = 55  # five chunks and a half
RECIPE = recipes.find("sinusoid").changed([*TINY, f"steps={STEPS}"])
COLUMNS = ["loss", "hint", "held_out", "gradient"]
SEED = 3


def command(out, *more, steps=STEPS, seed=SEED):
    changes = [word for assignment in TINY for word in ("--set", assignment)]
    return ["train", "sinusoid", "--seed", str(seed), "--out", str(out), *changes, "--steps", str(steps), *more]


def run(out, recipe=RECIPE, every=20):
    return loop.train(recipe, SEED, out, every, quiet=True)


def contents(folder):
    """All files of a run but its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def result(folder):
    """What must be the same however the run went."""
    return {name: content for name, content in contents(folder).items() if name in ("rule.npz", "rule.json", "curve.csv")}


def the_line(text):
    """The one line of an error, after whatever the progress bar printed."""
    lines = [line for line in text.replace("\r", "\n").splitlines() if line.startswith("mplp_lite: ")]
    assert len(lines) == 1 and text.endswith(lines[0] + "\n") and "Traceback" not in text, text
    return lines[0]


def safe_step(folder):
    """The step of the checkpoint on disk."""
    return json.loads(str(weights.unpack((folder / "checkpoint.npz").read_bytes(), "checkpoint")["about"]))["step"]


@pytest.fixture(scope="module", autouse=True)
def listening():
    """Ctrl-C reaches us and the processes we start, also when a shell in the background has told us to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_metric(monkeypatch):
    """A card without a measured metric: measuring takes longer than these runs."""
    monkeypatch.setattr(loop.report, "metric", lambda *_, **__: {"name": "none", "mean": 0.0, "sd": 0.0})


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("unbroken")
    assert main(command(out)) == 0
    return out


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same, saved at every 20 steps and without a measured metric."""
    out = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.report, "metric", lambda *_, **__: {"name": "none", "mean": 0.0, "sd": 0.0})
        run(out)
    return out


# ---------------------------------------------------------------- a run that nothing happens to


def test_a_run_leaves_its_rule_card_curve_and_checkpoint(unbroken):
    assert contents(unbroken).keys() == {"rule.npz", "rule.json", "curve.csv", "checkpoint.npz"}
    card = weights.load_card(unbroken / "rule")
    assert recipes.Recipe.from_dict(card["recipe"]) == RECIPE
    assert (card["seed"], card["steps"], card["skipped"]) == (SEED, STEPS, 0)
    assert card["metric"]["name"] == "eval loss after 2 steps" and 0 < card["metric"]["mean"] < 1
    assert card["versions"]["jax"] == jax.__version__ and card["versions"]["python"] == sys.version.split()[0]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights.load(unbroken / "rule", RECIPE.protocol)))


def test_the_curve_has_one_row_per_chunk(unbroken):
    header, *rows = (unbroken / "curve.csv").read_text().splitlines()
    assert header == "step,loss,hint,held_out,gradient,skipped"
    assert [int(row.split(",")[0]) for row in rows] == [10, 20, 30, 40, 50, 55]
    values = np.array([[float(value) for value in row.split(",")] for row in rows])
    np.testing.assert_allclose(values[:, 1], 0.7 * values[:, 2] + 0.3 * values[:, 3], rtol=1e-5)
    assert (values[:, 4] > 0).all() and (values[:, 5] == 0).all()


def test_a_row_is_the_mean_over_its_chunk(unbroken):
    trainer = Trainer(RECIPE, SEED)
    state, first = trainer.compiled()(trainer.begin(), np.arange(0, 10))
    _, second = trainer.compiled()(state, np.arange(10, 20))
    rows = [[float(value) for value in line.split(",")] for line in (unbroken / "curve.csv").read_text().splitlines()[1:3]]
    for row, metrics in zip(rows, (first, second)):
        np.testing.assert_allclose(row[1:5], [np.mean(metrics[name]) for name in COLUMNS], rtol=1e-6)


def test_training_goes_down_the_loss(tmp_path, no_metric):
    rates = ["learning_rate=0.01", "final_learning_rate=0.001"]
    run(tmp_path, RECIPE.changed([*rates, "steps=150", "message=2", "outer_batch=8", "pool=0", "inner_batch=5", "held_out=5"]))
    losses = np.genfromtxt(tmp_path / "curve.csv", delimiter=",", names=True)["loss"]
    assert len(losses) == 15
    assert losses[-3:].mean() < 0.9 * losses[:3].mean()


def test_priors_come_from_a_fixed_pool_or_are_fresh():
    def drawn(trainer, count=6):
        return np.stack([trainer.starts(jax.random.key(number))["W1"].ravel() for number in range(count)])

    pool = Trainer(RECIPE.changed(["pool=3", "outer_batch=2"]), SEED)
    assert len(np.unique(drawn(pool))) == 3 and all(a != b for a, b in drawn(pool))
    np.testing.assert_array_equal(drawn(pool), drawn(Trainer(pool.recipe, SEED)))
    assert not np.intersect1d(drawn(pool), drawn(Trainer(pool.recipe, SEED + 1))).size
    fresh = Trainer(RECIPE.changed(["pool=0", "outer_batch=2"]), SEED)
    assert len(np.unique(drawn(fresh))) == 12


def test_every_step_draws_tasks_of_its_own():
    trainer = Trainer(RECIPE, SEED)
    losses = [float(trainer.compiled()(trainer.begin(), np.arange(n, n + CHUNK))[1]["loss"][0]) for n in (0, 1, 10, 20, 64, 100, 128, 1000)]
    assert len(set(losses)) == len(losses)


def test_a_finished_run_repeated_ends_at_once_with_the_same_files(unbroken, monkeypatch):
    before = contents(unbroken)
    monkeypatch.setattr(loop, "side_by_side", lambda trainers: pytest.fail("it trained again"))
    monkeypatch.setattr(Trainer, "begin", lambda trainer: pytest.fail("it began again"))
    assert main(command(unbroken)) == 0
    assert contents(unbroken) == before


@pytest.mark.parametrize(("every", "saved"), [(1, [10, 20, 30, 40, 50, 55]), (20, [20, 40, 55]), (25, [30, 55]), (1000, [55])])
def test_checkpoints_come_as_often_as_asked(tmp_path, no_metric, monkeypatch, every, saved):
    steps, replace = [], os.replace

    def replace_and_look(source, target):
        replace(source, target)
        if str(target).endswith("checkpoint.npz"):
            steps.append(safe_step(tmp_path))

    monkeypatch.setattr(os, "replace", replace_and_look)
    run(tmp_path, every=every)
    assert steps == saved


# ---------------------------------------------------------------- killed


class Killed(BaseException):
    """Stands for a power cut: nothing catches it."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_file_written_and_resumed(plain, tmp_path, no_metric, monkeypatch, when):
    replace = os.replace

    def killing(countdown):
        def replace_or_die(source, target):
            last = next(countdown) == 0
            if last and when == "before":
                raise Killed
            replace(source, target)
            if last:
                raise Killed

        return replace_or_die

    for number in itertools.count():
        out = tmp_path / str(number)
        monkeypatch.setattr(os, "replace", killing(itertools.count(number, -1)))
        try:
            run(out)
        except Killed:
            monkeypatch.setattr(os, "replace", replace)
            run(out)
            assert result(out) == result(plain), f"killed {when} file {number}"
        else:
            break
    assert number == 8  # three times curve and checkpoint, then rule and card


def start(arguments):
    return subprocess.Popen([sys.executable, "-m", "mplp_lite", *arguments], stderr=subprocess.PIPE, text=True)


def wait_until(happened, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


LONG = 600


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("long")
    assert main(command(out, steps=LONG)) == 0
    return out


def test_sigkill_at_random_moments_and_resumed(long_run, tmp_path):
    moments = random.Random(0)
    steps = []
    for _ in range(3):
        process = start(command(tmp_path, "--checkpoint-every", "10", steps=LONG))
        with process:
            wait_until(lambda: (tmp_path / "checkpoint.npz").exists() and safe_step(tmp_path) > (steps or [0])[-1], process)
            time.sleep(moments.uniform(0, 0.1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        steps.append(safe_step(tmp_path))
    assert 0 < steps[0] < steps[1] < steps[2] < LONG
    assert main(command(tmp_path, steps=LONG)) == 0
    assert result(tmp_path) == result(long_run)


# ---------------------------------------------------------------- Ctrl-C


def test_ctrl_c_in_a_real_process_and_resumed(long_run, tmp_path, capsys):
    arguments = command(tmp_path / "a folder", "--checkpoint-every", "100000", steps=LONG)
    with start(arguments) as process:
        seen = ""
        while "loss" not in seen:
            seen += process.stderr.read(1)
        assert main(arguments) == 2  # a second run beside the first
        assert "a folder" in the_line(capsys.readouterr().err)
        process.send_signal(signal.SIGINT)
        text = seen + process.stderr.read()
    assert process.returncode == 130
    line, step = the_line(text), safe_step(tmp_path / "a folder")
    assert 0 < step < LONG and step % CHUNK == 0
    assert f"step {step} is saved" in line
    told = shlex.split(line.partition("python -m mplp_lite ")[2])
    assert told == arguments  # can be pasted into a shell as it is
    assert len((tmp_path / "a folder" / "curve.csv").read_text().splitlines()) == 1 + step // CHUNK
    assert main(told) == 0
    assert result(tmp_path / "a folder") == result(long_run)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def pressing_at(countdown):
    """A tracer that presses Ctrl-C at one line of what trains and saves, down to the renaming of files."""
    files = {loop.__file__, weights.__file__, sys.modules[Folder.__module__].__file__}
    spared = {"named_leaves", "_step_name", "from_named", "_digest", "<genexpr>", "<dictcomp>", "<listcomp>"}  # a line per array or row
    spared |= {"locked"}  # before anything is computed

    def trace(frame, event, argument):
        if frame.f_code.co_name == "finish":  # training is over
            sys.settrace(None)
        if frame.f_code.co_filename not in files or frame.f_code.co_name in spared:
            return None
        if event == "line" and next(countdown) == 0:
            ctrl_c()
        return trace

    return trace


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that were open when Ctrl-C came
def test_ctrl_c_at_any_line_loses_nothing(tmp_path, no_metric, monkeypatch):
    """Whatever the line: the step that is told is the one on disk, no finished chunk is lost, and what is saved is right."""
    recipe, row, computed = RECIPE.changed(["steps=20"]), loop._row, []
    right = {0: {}}
    with monkeypatch.context() as patch:
        press_after(patch, 1)
        with pytest.raises(Interrupted):
            run(tmp_path / "right", recipe)
        right[10] = contents(tmp_path / "right")
    run(tmp_path / "right", recipe)
    right[20] = contents(tmp_path / "right")
    monkeypatch.setattr(loop, "_row", lambda step, *rest: (computed.append(step), row(step, *rest))[1])
    wrong = []
    for number in itertools.count():
        out, countdown, before, told = tmp_path / str(number), itertools.count(number, -1), sys.gettrace(), None
        computed.clear()
        sys.settrace(pressing_at(countdown))
        try:
            run(out, recipe)
        except Interrupted as stop:
            told = stop.args[0]
        except KeyboardInterrupt:
            pass  # before the first step or after the last
        finally:
            sys.settrace(before)
        if next(countdown) >= 0:
            break
        found = contents(out) if out.exists() else {}
        saved = safe_step(out) if "checkpoint.npz" in found else 0
        state = {name: found.get(name) == right[saved].get(name) for name in ("checkpoint.npz", "curve.csv")}
        if saved != max(computed, default=0) or told not in (None, saved) or not all(state.values()):
            wrong.append(f"line event {number}: computed {computed}, saved {saved}, told {told}, right {state}")
    assert number > 50
    assert not wrong, wrong


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_ctrl_c_inside_the_compiled_chunk_loses_nothing(plain, tmp_path, no_metric, monkeypatch, chunk):
    """Python notices Ctrl-C when the compiled call returns: its result may then be lost, and its donated input is gone."""
    press_after(monkeypatch, chunk)
    with pytest.raises(Interrupted) as stop:
        run(tmp_path)
    monkeypatch.undo()
    assert stop.value.args[0] == safe_step(tmp_path) == chunk * CHUNK
    run(tmp_path)
    assert (tmp_path / "rule.npz").read_bytes() == (plain / "rule.npz").read_bytes()
    assert (tmp_path / "curve.csv").read_bytes() == (plain / "curve.csv").read_bytes()


def press_after(monkeypatch, chunk, number=signal.SIGINT):
    """Ctrl-C, or another signal, while the given chunk (1, 2, ...) of the next run is computed."""
    side_by_side = loop.side_by_side

    def pressing(trainers):
        run_chunk, calls = side_by_side(trainers), itertools.count(1)

        def run_chunk_and_press(*args):
            found = run_chunk(*args)
            if next(calls) == chunk:
                signal.raise_signal(number)
            return found

        run_chunk_and_press.lower = run_chunk.lower
        return run_chunk_and_press

    monkeypatch.setattr(loop, "side_by_side", pressing)


@pytest.mark.parametrize("where", [(Trainer, "begin"), (loop.report, "metric")], ids=["before the first step", "after the last"])
def test_ctrl_c_outside_the_steps_ends_with_130_and_no_traceback(tmp_path, monkeypatch, capsys, where):
    monkeypatch.setattr(*where, lambda *_, **__: ctrl_c())
    assert main(command(tmp_path)) == 130
    assert "stopped" in the_line(capsys.readouterr().err)


# ---------------------------------------------------------------- SIGTERM, and Ctrl-C before it begins


def test_sigterm_in_a_real_process_saves_and_says_so(tmp_path):
    arguments = command(tmp_path / "run", "--checkpoint-every", "100000", steps=LONG)
    with start(arguments) as process:
        seen = ""
        while "loss" not in seen:
            seen += process.stderr.read(1)
        process.send_signal(signal.SIGTERM)
        text = seen + process.stderr.read()
    assert process.returncode == 128 + signal.SIGTERM
    step = safe_step(tmp_path / "run")
    assert 0 < step < LONG and f"step {step} is saved" in the_line(text)


def test_sigterm_inside_a_chunk_is_told_from_ctrl_c(tmp_path, no_metric, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    press_after(monkeypatch, 2, signal.SIGTERM)
    with pytest.raises(Interrupted) as stop:
        run(tmp_path)
    assert (stop.value.step, stop.value.signal, str(stop.value)) == (20, signal.SIGTERM, "20")
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_outside_the_steps_is_one_line(tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr(Trainer, "begin", lambda *_: signal.raise_signal(number))
    assert main(command(tmp_path)) == 128 + number
    assert "stopped" in the_line(capsys.readouterr().err)


def test_ctrl_c_while_the_command_line_is_imported_is_one_line():
    code = "import sys, signal; sys.argv = ['-m']; from mplp_lite import early; signal.raise_signal(signal.SIGINT)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode in (130, -signal.SIGINT) and done.stderr == "mplp_lite: stopped before it began\n"


# ---------------------------------------------------------------- a folder that is another run's, or damaged


@pytest.fixture
def half(tmp_path, monkeypatch):
    """A run that was broken off at step 40: its checkpoint and its curve."""
    with monkeypatch.context() as patch:
        press_after(patch, 4)
        with pytest.raises(Interrupted):
            run(tmp_path / "half")
    assert contents(tmp_path / "half").keys() == {"checkpoint.npz", "curve.csv"}
    return tmp_path / "half"


def test_the_broken_off_run_resumes(half, plain, no_metric):
    run(half)
    assert result(half) == result(plain)


def test_a_run_of_before_a_field_existed_resumes(half, plain, no_metric):
    """What recipes have gained since has its default."""
    checkpoint = Folder(half, RECIPE, SEED).checkpoint
    arrays = weights.unpack(checkpoint.read_bytes(), "checkpoint")
    told = json.loads(str(arrays.pop("about")))
    del told["recipe"]["train_messages"], told["sha256"]
    told["sha256"] = _digest(arrays, told)
    checkpoint.write_bytes(weights.pack({**arrays, "about": np.asarray(json.dumps(told))}))
    run(half)
    assert result(half) == result(plain)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--seed", "4"], ["seed 3, not 4"]),
        (["--steps", "60"], ["steps 55, not 60"]),
        (["--set", "hint=0.5"], ["hint 0.7, not 0.5"]),
        (["--set", "widths=1,2,1"], ["widths [1, 1], not [1, 2, 1]"]),
        (["--set", "message=2", "--set", "loss=l1"], ["message 1, not 2", "loss 'l2', not 'l1'"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_a_run_of_another_recipe_or_seed_is_refused(half, capsys, more, named):
    before = contents(half)
    assert main([*command(half), *more]) == 2
    line = the_line(capsys.readouterr().err)
    assert str(half) in line and all(text in line for text in named)
    assert contents(half) == before


def remade(change):
    """A damage to the arrays of the checkpoint."""

    def damage(content):
        arrays = weights.unpack(content, "checkpoint")
        change(arrays)
        return weights.pack(arrays)

    return damage


def about(change):
    def on_arrays(arrays):
        arrays["about"] = np.asarray(json.dumps(change(json.loads(str(arrays["about"])))))

    return remade(on_arrays)


DAMAGES = {
    "empty": lambda content: b"",
    "text": lambda content: b"no checkpoint",
    "half": lambda content: content[: len(content) // 2],
    "last byte": lambda content: content[:-1],
    "one value": lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:],
    "a vector": lambda content: weights.pack({"a": np.zeros(3)}),
    "no about": remade(lambda arrays: arrays.pop("about")),
    "about no json": remade(lambda arrays: arrays.update(about=np.asarray("{"))),
    "about a list": about(lambda value: []),
    "about without recipe": about(lambda value: {"seed": SEED, "step": 40}),
    "about without step": about(lambda value: {"recipe": value["recipe"], "seed": SEED}),
    "step a text": about(lambda value: {**value, "step": "40"}),
    "a step less": about(lambda value: {**value, "step": 30}),
    "no digest": about(lambda value: {key: value[key] for key in value.keys() - {"sha256"}}),
    "a number changed": remade(lambda arrays: arrays.update({max(arrays): arrays[max(arrays)] + 1})),
    "a deep nest": remade(lambda arrays: arrays.update(about=np.asarray("[" * 100_000))),
    "array missing": remade(lambda arrays: arrays.pop(max(arrays))),
    "array too many": remade(lambda arrays: arrays.update(more=np.zeros(3))),
    "another dtype": remade(lambda arrays: arrays.update({max(arrays): arrays[max(arrays)].astype(np.float64)})),
    "another shape": remade(lambda arrays: arrays.update({max(arrays): arrays[max(arrays)][None]})),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused(half, capsys, damage):
    path = half / "checkpoint.npz"
    path.write_bytes(damage(path.read_bytes()))
    before = contents(half)
    assert main(command(half)) == 2
    assert str(path) in the_line(capsys.readouterr().err)
    assert contents(half) == before


def test_no_changed_byte_of_a_checkpoint_goes_unnoticed(half):
    """Either refused, or harmless: the state is the same bit for bit."""
    folder, template = Folder(half, RECIPE, SEED), Trainer(RECIPE, SEED).template()
    content = folder.checkpoint.read_bytes()
    step, state, rows = folder.restore(template)
    positions = random.Random(1)
    refused = 0
    for _ in range(300):
        position, flip = positions.randrange(len(content)), positions.randrange(1, 256)
        folder.checkpoint.write_bytes(content[:position] + bytes([content[position] ^ flip]) + content[position + 1 :])
        try:
            with warnings.catch_warnings(action="ignore"):
                found = folder.restore(template)
        except RunError:
            refused += 1
        else:
            assert found[0] == step and found[2] == rows
            jax.tree.map(np.testing.assert_array_equal, found[1], state)
    assert refused > 100


def rows(change):
    """A curve with its rows changed."""

    def damage(content):
        header, *lines = content.decode().splitlines()
        return "\n".join([header, *change(lines), ""]).encode()

    return damage


CURVES = {
    "first row missing": rows(lambda lines: lines[1:]),
    "middle row missing": rows(lambda lines: [*lines[:1], *lines[2:]]),
    "row doubled": rows(lambda lines: [*lines[:2], *lines[1:]]),
    "rows swapped": rows(lambda lines: [lines[1], lines[0], *lines[2:]]),
    "missing": None,
    "empty": lambda content: b"",
    "text": lambda content: b"no curve\n1\n",
    "no numbers": lambda content: b"step,loss,hint,held_out,gradient,skipped\n10,x,x,x,x,x\n",
    "no text": lambda content: b"\xff\xfe",
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_a_curve_that_is_missing_or_damaged_is_named(half, capsys, curve):
    path = half / "curve.csv"
    path.unlink() if curve is None else path.write_bytes(curve(path.read_bytes()))
    before = contents(half)
    assert main(command(half)) == 2
    assert "curve.csv" in the_line(capsys.readouterr().err)
    assert contents(half) == before


@pytest.mark.parametrize("name", ["checkpoint.npz", "curve.csv"])
def test_a_folder_where_a_file_should_be_is_named(half, capsys, name):
    (half / name).unlink()
    (half / name).mkdir()
    assert main(command(half)) == 2
    assert name in the_line(capsys.readouterr().err)


def test_a_run_folder_that_was_deleted_is_not_called_safe(tmp_path, no_metric, monkeypatch, capsys):
    row = loop._row
    monkeypatch.setattr(loop, "_row", lambda step, *rest: (shutil.rmtree(tmp_path / "run") if step == 30 else None, row(step, *rest))[1])
    with pytest.raises(RunError, match="no step is safe"):
        run(tmp_path / "run")
    assert "step 20 is safe" not in capsys.readouterr().err


def test_two_runs_in_one_folder(half, capsys, monkeypatch):
    before = contents(half)
    with Folder(half, RECIPE, SEED).locked():
        assert main(command(half)) == 2
    assert str(half) in the_line(capsys.readouterr().err)
    assert contents(half) == before


def test_a_folder_that_cannot_be_one(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("text")
    assert main(command(tmp_path / "file")) == 2
    assert str(tmp_path / "file") in the_line(capsys.readouterr().err)
    assert main(command(tmp_path / "file" / "deeper")) == 2
    the_line(capsys.readouterr().err)
    assert contents(tmp_path) == {"file": b"text"}


def test_a_folder_whose_file_system_cannot_lock_is_not_called_busy(tmp_path, capsys, monkeypatch):
    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert main(command(tmp_path)) == 2
    assert "Another run" not in the_line(capsys.readouterr().err)


# ---------------------------------------------------------------- gradients that are not finite


def test_steps_with_nan_are_skipped_counted_and_reported(tmp_path, monkeypatch, no_metric, capsys):
    def sometimes_nan(task, key, real=tasks.Sinusoids.episode):
        episode = real(task, key)
        return episode._replace(ys=jnp.where(jax.random.uniform(key) < 0.3, jnp.nan, episode.ys))

    recipe = RECIPE.changed(["inner_batch=4", "pool=0", "steps=50"])
    trainer = Trainer(recipe, SEED)
    monkeypatch.setattr(tasks.Sinusoids, "episode", sometimes_nan)
    state, losses = trainer.begin(), []
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.rule))  # this seed's calibration run was spared
    for first in range(0, 50, CHUNK):
        state, metrics = trainer.compiled()(state, np.arange(first, first + CHUNK))
        losses.append(np.asarray(metrics["loss"]))
    bad = np.isnan(losses)
    assert 0 < bad.sum() < 50 and int(state.skipped) == bad.sum()
    assert main(command(tmp_path, "--set", "inner_batch=4", "--set", "pool=0", steps=50)) == 0
    output = capsys.readouterr()
    rows = np.genfromtxt(tmp_path / "curve.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rows["skipped"], np.cumsum(bad.sum(axis=1)))
    np.testing.assert_allclose(rows["loss"], np.nanmean(losses, axis=1), rtol=1e-5)
    assert weights.load_card(tmp_path / "rule")["skipped"] == bad.sum()
    assert f"{bad.sum()} of 50 meta-steps were skipped" in output.out and "skipped (gradient not finite)" in output.err
    first = 1 + int(np.argmax(np.concatenate(bad)))
    assert output.err.count("is not finite") == 1 and f"Meta-step {first}: the gradient of episode 1 of 1 is not finite" in output.err
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights.load(tmp_path / "rule", recipe.protocol)))


def test_a_skipped_step_changes_nothing():
    trainer = Trainer(RECIPE.changed(["learning_rate=1e30", "steps=50"]), SEED)
    state, metrics = trainer.compiled()(trainer.begin(), np.arange(10))
    kept = jax.device_get(state.rule)
    assert not np.isfinite(metrics["gradient"][-1]) and int(state.skipped) > 0
    state, metrics = trainer.compiled()(state, np.arange(10, 20))
    assert not np.isfinite(metrics["gradient"]).any()
    jax.tree.map(np.testing.assert_array_equal, kept, jax.device_get(state.rule))


def test_a_run_that_only_skips_ends_without_warnings_and_with_strict_json(tmp_path, capsys):
    """Warnings are errors here, as everywhere in the tests: a user would see them between the progress bars."""
    assert main(command(tmp_path, "--set", "learning_rate=1e30", steps=50)) == 0
    output = capsys.readouterr()
    card = json.loads((tmp_path / "rule.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert card["skipped"] > 25
    assert f"{card['skipped']} of 50 meta-steps were skipped" in output.out
    assert (tmp_path / "curve.csv").read_text().splitlines()[-1].endswith(f",{card['skipped']}")


# ---------------------------------------------------------------- a full disk


def full_disk(monkeypatch, times):
    """From now on the disk is full at the given times (0, 1, ...) that the given files are written."""
    written, fsync = dict.fromkeys(times, 0), os.fsync

    def sync(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        for name in times:
            if name in path:
                written[name] += 1
                if written[name] - 1 in times[name]:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", sync)


FULL = {
    "first curve": {"curve": {0}},
    "first checkpoint": {"checkpoint": {0}},
    "second checkpoint": {"checkpoint": {1}},
    "second and its repetition": {"checkpoint": {1, 2}},
    "all but the last": {"curve": {0, 2}, "checkpoint": {0, 1}},
}


@pytest.mark.parametrize("times", FULL.values(), ids=FULL)
def test_a_disk_full_for_a_while_changes_nothing(plain, tmp_path, no_metric, monkeypatch, capsys, times):
    full_disk(monkeypatch, times)
    run(tmp_path)
    assert result(tmp_path) == result(plain)
    assert contents(tmp_path).keys() == contents(plain).keys()
    assert capsys.readouterr().err.count("No space left on device") == sum(map(len, times.values()))


def test_a_disk_full_to_the_end_keeps_the_last_good_checkpoint(plain, tmp_path, no_metric, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        full_disk(patch, {"checkpoint": range(1, 100)})
        assert main(command(tmp_path, "--checkpoint-every", "20")) == 2
    line = the_line(capsys.readouterr().err)
    assert "No space left on device" in line and "step 20 is safe" in line
    assert safe_step(tmp_path) == 20 and contents(tmp_path).keys() == {"checkpoint.npz", "curve.csv"}
    run(tmp_path)
    assert result(tmp_path) == result(plain)


@pytest.mark.parametrize("name", ["rule.npz", "rule.json"])
def test_a_disk_full_at_the_very_end_can_be_made_good(plain, tmp_path, no_metric, monkeypatch, capsys, name):
    with monkeypatch.context() as patch:
        full_disk(patch, {name: {0}})
        assert main(command(tmp_path)) == 2
    line = the_line(capsys.readouterr().err)
    assert "rule" in line and "No space left on device" in line
    assert contents(tmp_path).keys() == {"checkpoint.npz", "curve.csv"}
    assert main(command(tmp_path)) == 0
    assert result(tmp_path) == result(plain)


def test_ctrl_c_on_a_full_disk_does_not_claim_to_have_saved(plain, tmp_path, no_metric, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        full_disk(patch, {"checkpoint": range(1, 100)})
        press_after(patch, 4)
        assert main(command(tmp_path, "--checkpoint-every", "20")) == 130
    assert safe_step(tmp_path) == 20
    line = the_line(capsys.readouterr().err)
    assert "step 20 is saved" in line
    run(tmp_path)
    assert result(tmp_path) == result(plain)


def test_what_a_kill_in_the_middle_of_a_write_leaves_is_swept_up(tmp_path):
    folder = Folder(tmp_path, RECIPE, 0)
    leftovers = [tmp_path / name for name in (".checkpoint.npz.a1b2", ".curve.csv.x", ".rule.npz.y", ".rule.json.z")]
    others = [tmp_path / name for name in (".notes", "checkpoint.npz.mine", "curve.csv")]
    for path in (*leftovers, *others):
        path.write_text("half")
    with folder.locked():
        pass
    assert not any(path.exists() for path in leftovers) and all(path.read_text() == "half" for path in others)
