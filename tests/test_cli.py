"""The command line: help, exit codes, and errors as exactly one line on stderr."""

import subprocess
import sys

import jax
import pytest

from mplp_lite import Protocol, Stateless, mlp, recipes, weights
from mplp_lite.__main__ import main
from mplp_lite.run import loop, report
from mplp_lite.run.experiment import Experiment

PROTOCOL = Protocol(mlp(1, 1), Stateless())
COMMANDS = ["train", "evaluate", "study", "list", "verify"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    output = capsys.readouterr()
    assert stop.value.code == 0 and output.err == ""
    assert output.out.startswith(f"usage: python -m mplp_lite {command}")
    options = {
        "train": "recipe --steps --seeds --out --set --grid --checkpoint-every --devices --hosts --host --coordinator".split(),
        "evaluate": ["rule", "--runs", "--seed", "--out", "--published", "--published-prior", "--beside"],
        "study": ["folder", "--elsewhere", "--join", "--out"],
        "list": [],
        "verify": ["trace"],
    }
    assert all(option in output.out for option in options[command])


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0
    assert [line.split()[0] for line in lines if line.startswith("    ")] == COMMANDS


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "command"),
        (["nope"], "'nope'"),
        (["train"], "recipe"),
        (["evaluate"], "rule"),
        (["study"], "folder"),
        (["verify"], "trace"),
        (["list", "more"], "more"),
        (["train", "sinusoid", "--nope"], "--nope"),
        (["train", "sinusoid", "--steps", "many"], "many"),
        (["train", "sinusoid", "--steps", "1.5"], "1.5"),
        (["train", "sinusoid", "--seed", "x"], "'x'"),
        (["train", "sinusoid", "--seed", "99999999999999999999999"], "whole number from 0 to"),
        (["train", "sinusoid", "--checkpoint-every", "0"], "at least 1"),
        (["train", "sinusoid", "--checkpoint-every", "-5"], "at least 1"),
        (["train", "sinusoid", "--set"], "--set"),
        (["evaluate", "sinusoid", "--runs", "0"], "at least 1"),
        (["evaluate", "sinusoid", "--runs", "-1"], "at least 1"),
        (["evaluate", "sinusoid", "--runs", "²"], "at least 1"),
        (["evaluate", "sinusoid", "--runs", "1e2"], "at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_parsed_ends_with_2_and_the_usage(arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    output = capsys.readouterr()
    assert stop.value.code == 2 and output.out == ""
    assert output.err.startswith("usage: python -m mplp_lite") and named in output.err.splitlines()[-1]


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """Works in an empty folder where `text` is a file and `empty` a folder; gives all that lies there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no trace, no run")
    (tmp_path / "empty").mkdir()
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "nope"], "'nope'"),
        (["train", ""], "sinusoid-as-published"),
        (["train", "sinusoid", "--steps", "0"], "steps=0"),
        (["train", "sinusoid", "--steps", "-5"], "steps=-5"),
        (["train", "sinusoid", "--set", "nonsense"], "'nonsense'"),
        (["train", "sinusoid", "--set", "colour=red"], "'colour=red'"),
        (["train", "sinusoid", "--set", "outer_batch=many"], "outer_batch=many"),
        (["train", "sinusoid", "--set", "hint=2"], "hint=2"),
        (["train", "sinusoid", "--set", "activation=nope"], "'nope'"),
        (["train", "sinusoid", "--set", "widths=2,3,1"], "widths"),
        (["train", "sinusoid", "--out", "text"], "text"),
        (["train", "sinusoid", "--out", "text/deeper"], "text/deeper"),
        (["evaluate", "nope"], "'nope'"),
        (["evaluate", "empty"], "'empty'"),
        (["evaluate", "text"], "'text'"),
        (["evaluate", ""], "''"),
        (["verify", "nope.npz"], "nope.npz"),
        (["verify", "text"], "text"),
        (["verify", "empty"], "empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_ends_with_2_and_one_line(arguments, named, in_folder, monkeypatch, capsys):
    monkeypatch.setattr(Experiment, "begin", lambda *_: pytest.fail("it began to train"))
    before = in_folder()
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("mplp_lite: ") and output.err.endswith("\n") and output.err.count("\n") == 1
    assert named in output.err
    assert in_folder() == before


def test_list_shows_recipes_and_shipped_rules(capsys):
    assert main(["list"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    above, below = output.out.split("shipped rules")
    for recipe in recipes.RECIPES.values():
        line = next(line for line in above.splitlines() if line.split()[:1] == [recipe.name])
        assert recipe.section in line and f"{recipe.steps} steps" in line
    names = [line.split()[0] for line in below.splitlines()[1:]]
    assert names == weights.pretrained()
    for name, line in zip(names, below.splitlines()[1:]):
        card = weights.load_card(weights.pretrained_path(name))
        assert f"{card['metric']['mean']:.5f}" in line and f"{card['steps']} steps" in line


def test_list_with_a_shipped_rule(tmp_path, monkeypatch, capsys):
    """As above, whatever is shipped today."""
    card = {"metric": {"name": "eval loss", "mean": 0.25}, "steps": 7, "seed": 5}
    weights.save(tmp_path / "mine", PROTOCOL.new_rule(jax.random.key(0)), card, PROTOCOL)
    monkeypatch.setattr(weights, "pretrained", lambda: ["mine"])
    monkeypatch.setattr(weights, "pretrained_path", lambda name: tmp_path / f"{name}.npz")
    assert main(["list"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[0] == "mine" and "eval loss 0.25000" in line and "7 steps" in line and "seed 5" in line


def test_train_passes_everything_on(tmp_path, monkeypatch, capsys):
    """Which recipe, seed, folder and frequency reach the training, and what is said at its end."""
    calls = []

    def trained(arms, every, devices):
        for recipe, seed, out in arms:
            calls.append((recipe, seed, out, every, devices))
            out.mkdir(parents=True)
            metric = {"name": "eval loss", "mean": 0.5, "sd": 0.25}
            weights.save(out / "rule", PROTOCOL.new_rule(jax.random.key(0)), {"metric": metric, "skipped": seed}, PROTOCOL)

    monkeypatch.setattr(loop, "train_arms", trained)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "sinusoid"]) == 0
    output = capsys.readouterr()
    assert "eval loss 0.50000 ± 0.25000" in output.out and "runs/sinusoid-seed0/rule.npz" in output.out and "skipped" not in output.out
    changes = ["--set", "message=3", "--set", "steps=500", "--steps", "200"]
    rest = ["--seed", "7", "--out", "x", "--checkpoint-every", "30", "--devices", "2"]
    assert main(["train", "sinusoid-as-published", *changes, *rest]) == 0
    assert "7 of 200 meta-steps were skipped" in capsys.readouterr().out
    first, second = calls
    assert first[0] == recipes.find("sinusoid") and (first[1], str(first[2]), *first[3:]) == (0, "runs/sinusoid-seed0", 100, 1)
    assert second[0] == recipes.find("sinusoid-as-published").changed(["message=3", "steps=200"])
    assert (second[1], str(second[2]), *second[3:]) == (7, "x", 30, 2)


def test_evaluate_passes_everything_on(tmp_path, monkeypatch):
    calls, found = [], {"rule": "r", "runs": 9, "methods": {"MPLP": {"eval_loss": {"mean": [1.0], "sd": [0.0]}}}}
    monkeypatch.setattr(report, "evaluate_rule", lambda *arguments, quiet: calls.append((*arguments, quiet)) or found)
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "a/b", "--runs", "9", "--seed", "4"]) == 0
    assert calls == [("a/b", 9, 4, None, None, (), False)] and (tmp_path / "results" / "b.json").exists()


def test_a_bug_is_not_dressed_up_as_a_mistake_of_the_user(monkeypatch):
    def broken():
        raise ZeroDivisionError

    monkeypatch.setattr(weights, "pretrained", broken)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def python(*arguments):
    return subprocess.run([sys.executable, "-m", "mplp_lite", *arguments], capture_output=True, text=True, timeout=120)


def test_as_a_real_process():
    good, bad = python("list"), python("evaluate", "no such rule")
    assert good.returncode == 0 and good.stderr == "" and good.stdout.startswith("recipes")
    assert bad.returncode == 2 and bad.stdout == ""
    assert bad.stderr.startswith("mplp_lite: 'no such rule'") and bad.stderr.count("\n") == 1


def test_these_tests_run_on_the_cpu():
    assert jax.default_backend() == "cpu"


def test_more_devices_than_there_are(tmp_path, capsys):
    assert main(["train", "sinusoid", "--devices", "99", "--out", str(tmp_path / "x")]) == 2
    assert "devices=99 was given" in capsys.readouterr().err and not (tmp_path / "x").exists()
