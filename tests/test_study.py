"""Many finished runs in one file: arms told apart by what they change, ends counted, curves shortened without losing the first success."""

import json
from dataclasses import replace

import jax
import pytest

from helpers import refused
from mplp_lite import weights
from mplp_lite.__main__ import main
from mplp_lite.run import study
from mplp_lite.run.folder import _to_csv
from mplp_lite.run.recipes import Recipe, RecipeError
from mplp_lite.run.report import ReportError, metric

TINY = Recipe("tiny", "4", widths=(1, 2, 1), learner="stateless", message=1, learner_widths=(2,), steps=2000)


def finish(folder, recipe, seed, end, losses=(0.02,) * 200):
    """A folder as a finished run leaves it, whose loss ends at `end`."""
    folder.mkdir(parents=True)
    metric = {"name": "eval loss after 5 steps", "mean": end, "se": 0.0, "sd": 0.001, "median": end, "max": end, "runs": 100, "seed": 0}
    card = {"recipe": recipe.as_dict(), "seed": seed, "metric": metric, "skipped": 0, "versions": {"jax": "1"}}
    weights.save(folder / "rule", recipe.protocol.new_rule(jax.random.key(seed)), card, recipe.protocol)
    rows = [{"step": 10 * (k + 1), "loss": 1.0, "held_out": loss, "gradient": 1.0, "skipped": 0} for k, loss in enumerate(losses)]
    (folder / "curve.csv").write_bytes(_to_csv(rows))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    falling = [0.02] * 105 + [0.004] * 10 + [0.02] * 5 + [0.003] * 80
    for seed, end in enumerate((0.001, 0.004, 0.02)):
        finish(folder / "message=1" / f"seed-{seed}", TINY, seed, end, falling)
    for seed, end in enumerate((0.013, float("nan"), 0.008)):
        finish(folder / "message=4" / f"seed-{seed}", replace(TINY, message=4, hint=0.3), seed, end)
    return folder, study.collect(folder)


def test_arms_are_what_differs_and_the_rest_is_said_once(found):
    first, second = found[1]["arms"]
    assert [first["changes"], second["changes"]] == [{"message": 1, "hint": 0.7}, {"message": 4, "hint": 0.3}]
    assert {"message", "hint"}.isdisjoint(found[1]["recipe"]) and found[1]["recipe"]["steps"] == 2000
    assert [run["seed"] for run in first["runs"]] == [0, 1, 2]


def test_successes_and_stuck_runs_are_counted(found):
    first, second = found[1]["arms"]
    assert [(arm["success"]["count"], arm["stuck"]["count"], arm["success"]["of"]) for arm in (first, second)] == [(2, 1, 3), (0, 2, 3)]


def test_the_wilson_interval():
    """By its formula, for 2 of 3."""
    z, share, n = 1.959964, 2 / 3, 3
    middle, half = (share + z**2 / (2 * n)) / (1 + z**2 / n), z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    assert study.rate([True, False, True])["wilson"] == pytest.approx([middle - half, middle + half], abs=1e-3)


def test_evaluations_are_means_of_hundred_meta_steps():
    rows = [{"step": 10 * (k + 1), "held_out": float(k)} for k in range(25)]
    assert study.evaluations(rows) == {"step": [100, 200], "held_out": [4.5, 14.5]}
    assert study.evaluations(rows[:9]) == {"step": [], "held_out": []}


def test_the_first_success_is_that_of_the_whole_curve(found, monkeypatch):
    """The mean of rows 106 to 115 spreads over two evaluations and is no success; the one of rows 121 to 130 is."""
    run = found[1]["arms"][0]["runs"][0]
    assert run["curve"]["first_success"] == 1300 and run["curve"]["step"] == list(range(100, 2001, 100))
    monkeypatch.setattr(study, "POINTS", 3)
    short = study.collect(found[0])["arms"][0]["runs"][0]["curve"]
    assert short["step"] == [100, 1100, 2000] and short["first_success"] == 1300


def test_the_command_writes_what_it_says(found, tmp_path, capsys):
    assert main(["study", str(found[0]), "--out", str(tmp_path / "found.json")]) == 0
    written, said = json.loads((tmp_path / "found.json").read_text()), capsys.readouterr().out
    assert written["arms"][0]["success"] == found[1]["arms"][0]["success"] and {"date", "jax", "device", "cores"} <= written["made"].keys()
    assert "message=1, hint=0.7   success 2 of 3" in said and "seed   2: eval loss after 5 steps 0.02000" in said


def test_studies_are_joined_and_the_later_run_of_a_seed_counts(found, tmp_path):
    finish(tmp_path / "a", replace(TINY, message=4, hint=0.3), 0, 0.002)
    finish(tmp_path / "b", replace(TINY, message=2), 5, 0.003)
    later = study.collect(tmp_path)
    whole = study.joined(json.loads(json.dumps(found[1])), later)
    ends = {arm["changes"]["message"]: {run["seed"]: run["metric"]["mean"] for run in arm["runs"]} for arm in whole["arms"]}
    assert ends == {1: {0: 0.001, 1: 0.004, 2: 0.02}, 4: {0: 0.002, 1: None, 2: 0.008}, 2: {5: 0.003}}
    assert whole["arms"][1]["success"]["count"] == 1 and whole["recipe"] == found[1]["recipe"]
    older = {**found[1], "recipe": {name: value for name, value in found[1]["recipe"].items() if name != "gradients"}}
    assert [arm["changes"] for arm in study.joined(older, later)["arms"]] == [arm["changes"] for arm in whole["arms"]]
    with refused(ReportError, "no study to go on with"):
        study.joined({"methods": {}}, later)


def test_the_command_joins(found, tmp_path, capsys):
    finish(tmp_path / "a", replace(TINY, message=2), 5, 0.003)
    out = ["--out", str(tmp_path / "found.json")]
    assert main(["study", str(tmp_path), "--join", *out]) == 2 and "holds no study (No such file" in capsys.readouterr().err
    assert main(["study", str(found[0]), *out]) == main(["study", str(tmp_path), "--join", *out]) == 0
    assert len(json.loads((tmp_path / "found.json").read_text())["arms"]) == 3


def test_rules_are_taken_elsewhere(tmp_path, capsys):
    changes = ["widths=1,4,1 activation=tanh", "inner_steps=3"]
    finish(tmp_path / "a", TINY, 0, 0.7)
    found = study.collect(tmp_path, changes)["arms"][0]["runs"][0]["elsewhere"]
    assert list(found) == changes and found["inner_steps=3"]["name"] == "eval loss after 3 steps"
    there = TINY.changed(changes[0].split())
    rule = there.protocol.adopt(weights.load(tmp_path / "a" / "rule", TINY.protocol), TINY.protocol)
    assert found[changes[0]] == metric(there, rule)
    assert main(["study", str(tmp_path), "--elsewhere", "inner_steps=3", "--out", str(tmp_path / "found.json")]) == 0
    assert f"inner_steps=3: {found['inner_steps=3']['mean']:.5f}" in capsys.readouterr().out
    with refused(RecipeError, "'depth=3' sets nothing"):
        study.collect(tmp_path, ["depth=3"])


def test_digits_have_no_threshold(tmp_path):
    digits = replace(TINY, family="mnist", widths=(4, 10), loss="cross_entropy", source="sklearn")
    finish(tmp_path / "a", digits, 0, 0.7)
    (arm,) = study.collect(tmp_path)["arms"]
    assert arm.keys() == {"changes", "runs"} and arm["runs"][0]["curve"].keys() == {"step", "held_out"}


def test_what_cannot_be_gathered_is_said(tmp_path):
    with refused(ReportError, "There is no finished run below .*; train some with --seeds"):
        study.collect(tmp_path)
    finish(tmp_path / "a", TINY, 0, 0.7)
    card = json.loads((tmp_path / "a" / "rule.json").read_text())
    card["experiment"] = card.pop("recipe")
    (tmp_path / "a" / "rule.json").write_text(json.dumps(card))
    with refused(ReportError, "an experiment of your own"):
        study.collect(tmp_path)
