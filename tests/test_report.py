"""Reports: the documented figures, comparable between methods, as strict JSON; and what they say when they cannot be made."""

import errno
import json
import os
import re

import jax
import numpy as np
import pytest

from helpers import random_prior, refused
from mplp_lite import baselines, evaluate, recipes, weights
from mplp_lite.__main__ import main
from mplp_lite.authors import published
from mplp_lite.run import report, rivals

TINY = "widths=1,3,1 learner=stateless message=1 inner_steps=2 inner_batch=3 held_out=3 outer_batch=1 warmup=0 steps=20".split()
RECIPE = recipes.find("sinusoid").changed(TINY)
SAME = ["MPLP", "authors' MPLP", "Adam 0.01, the paper's rate", "Adam {}, best rate", "SGD {}, best rate"]  # start from the paper's prior
OTHERS = ["Adam {}, LeCun, best rate", "SGD {}, LeCun, best rate", "all 6 at once", "the family's mean curve"]


@pytest.fixture(scope="module")
def rule():
    return RECIPE.protocol.new_rule(jax.random.key(0))


def finish(folder, rule, **changes):
    """A folder as a finished run leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(folder / "rule", rule, {"recipe": RECIPE.as_dict(), "seed": 0, "steps": 20, "skipped": 0, **changes}, RECIPE.protocol)
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, rule):
    """What the command says and writes for a finished run, with the same rule once more as the authors' vector."""
    folder = finish(tmp_path_factory.mktemp("runs") / "tiny", rule)
    np.save(folder / "vector.npy", published.flatten(rule, RECIPE.protocol))
    out = folder.parent / "new folder" / "found.json"
    arguments = ["evaluate", str(folder), "--runs", "7", "--seed", "3", "--published", str(folder / "vector.npy"), "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rivals.STARTS, "sinusoids", ("paper", "lecun"))
        patch.setitem(rivals.FULL_BATCH_STEPS, "sinusoids", 30)
        printed = []
        patch.setattr("builtins.print", lambda *values, **options: printed.append(" ".join(map(str, values))))
        assert main(arguments) == 0
    return folder, json.loads(out.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON")), "\n".join(printed)


def unrated(name):
    """The name of a method, with {} in place of the rate that was chosen; what sees all examples at once by that only."""
    name = name.rpartition(", ")[2] if name.endswith("at once") else name
    return name if "paper" in name else re.sub(r"(Adam|SGD) [\d.]+,", r"\1 {},", name)


def test_the_report_has_the_documented_fields(evaluated):
    folder, found, _ = evaluated
    assert found.keys() == {"rule", "sha256", "recipe", "runs", "seed", "rates", "methods", "full_batch", "ceilings", "limits", "made"}
    assert {key: found[key] for key in ("rule", "recipe", "runs", "seed")} == {"rule": "tiny", "recipe": "sinusoid", "runs": 7, "seed": 3}
    assert found["sha256"] == weights.load_card(folder / "rule")["sha256"] and found["rates"]["runs"] == 7
    assert sorted(map(unrated, found["methods"])) == sorted([*SAME, *OTHERS])
    for name, losses in found["methods"].items():
        alone = "at once" in name or "mean curve" in name
        assert losses.keys() == ({"eval_loss"} if alone else {"eval_loss", "train_loss"})
        for quantity, statistics in losses.items():
            assert statistics.keys() == {"mean", "se", "sd", "median", "max"}
            assert {len(values) for values in statistics.values()} == {3 if quantity == "eval_loss" else 2}
            assert all(np.isfinite(values).all() for values in statistics.values())


def test_all_methods_start_alike_and_go_on_differently(evaluated):
    found = {unrated(name): losses for name, losses in evaluated[1]["methods"].items()}
    before = [found[name]["eval_loss"]["mean"][0] for name in SAME]
    assert len(set(before)) == 1 and found["Adam {}, LeCun, best rate"]["eval_loss"]["mean"][0] != before[0]
    assert len({losses["eval_loss"]["mean"][-1] for losses in found.values()}) >= 6
    assert found["authors' MPLP"] == found["MPLP"]  # the same rule by another way
    assert len(set(found["the family's mean curve"]["eval_loss"]["mean"])) == 1  # it learns nothing


@pytest.mark.parametrize("method", ["MPLP", "Adam 0.01, the paper's rate"])
def test_the_figures_are_those_of_the_runs(evaluated, rule, method):
    network, its_rule = (RECIPE.protocol, rule) if method == "MPLP" else (baselines.adam(RECIPE.protocol.graph, 0.01), None)
    runs = evaluate.sinusoid_runs(network, its_rule, RECIPE.task, jax.random.key(3), 7)
    for kind, losses in (("eval_loss", runs.eval_loss), ("train_loss", runs.train_loss)):
        for name, of in {"mean": np.mean, "sd": np.std, "median": np.median, "max": np.max}.items():
            reported = evaluated[1]["methods"][method][kind][name]
            np.testing.assert_allclose(reported, of(np.asarray(losses), axis=0), rtol=1e-4)


def test_the_mean_curve_is_judged_on_the_curves_that_are_learned(evaluated):
    """Its loss, and that of predicting nothing, by numpy."""
    keys = jax.random.split(jax.random.key(3), 7)
    x, y = jax.vmap(lambda key: RECIPE.task.evaluation_episode(jax.random.split(key)[0]).held_out)(keys)
    loss = np.square(0.6 / np.pi * np.cos(np.asarray(x)) - np.asarray(y)).mean(axis=(1, 2)) / 2
    reported = evaluated[1]["methods"]["the family's mean curve"]["eval_loss"]
    assert (reported["mean"][0], reported["sd"][0]) == pytest.approx((loss.mean(), loss.std()), rel=1e-4)


def test_full_batches_and_longer_runs_are_reported(evaluated):
    _, found, printed = evaluated
    full, longer = found["full_batch"], found["limits"]["longer"]
    assert found["limits"].keys() == {"longer", "LeCun"}
    assert full["steps"] == [2, 20, 30] and len(full["eval_loss"]["mean"]) == 3 and full["method"].endswith("all 6 at once")
    assert len(full["steps_to_the_rule"]["quartiles"]) == 3 and 0 <= full["steps_to_the_rule"]["never"] <= 7
    assert longer["steps"] == list(range(21)) and {"MPLP", "authors' MPLP"} < longer["methods"].keys() and len(longer["methods"]) == 3
    for method in ("MPLP", "authors' MPLP"):
        np.testing.assert_allclose(
            longer["methods"][method]["eval_loss"]["mean"][0], found["methods"][method]["eval_loss"]["mean"][0], rtol=1e-4
        )  # the same curves and priors
    assert full["method"] in printed and "longer: 7 runs" in printed


def test_the_table_shows_every_method_and_step(evaluated):
    _, found, printed = evaluated
    head, steps, *lines = printed.splitlines()
    assert "tiny" in head and "7 runs" in head
    assert steps.split() == ["0", "1", "2", "sd", "at", "end", "se"]
    for name, losses in found["methods"].items():
        line = next(line for line in lines if line.startswith(f"{name}  "))
        shown = [float(value) for value in line.removeprefix(name).split()]
        assert shown == pytest.approx([*losses["eval_loss"]["mean"], *(losses["eval_loss"][of][-1] for of in ("sd", "se"))], abs=1e-5)
    assert "found.json" in lines[-1]
    first_table = [steps, *lines[: lines.index("")]]
    assert len({len(line) for line in first_table}) == 1  # columns stand below each other


def test_lists_of_numbers_take_a_line_each(tmp_path):
    report.write(tmp_path / "found.json", {**FOUND, "text [ a,  b ]": "[ 1,\n 2]"})
    lines = (tmp_path / "found.json").read_text().splitlines()
    assert any(line.strip() == '"mean": [ 0.5, 0.25 ],' for line in lines)
    assert json.loads((tmp_path / "found.json").read_text())["text [ a,  b ]"] == "[ 1,\n 2]"


def test_the_metric_is_the_last_eval_loss(rule):
    found = report.metric(RECIPE, rule, runs=5, seed=2)
    losses = np.asarray(evaluate.sinusoid_runs(RECIPE.protocol, rule, RECIPE.task, jax.random.key(2), 5).eval_loss)[:, -1]
    assert found["name"] == "eval loss after 2 steps" and (found["runs"], found["seed"]) == (5, 2)
    assert [found[name] for name in ("mean", "sd", "median", "max")] == pytest.approx(
        [losses.mean(), losses.std(), np.median(losses), losses.max()], rel=1e-4
    )
    assert json.loads(json.dumps(found)) == found


GOOD = {
    "mnist": lambda accuracy: accuracy > 0.5,  # beyond the paper
    "sinusoids": lambda loss: loss < 0.0184 / 10,  # far below the family's mean curve
}


@pytest.mark.parametrize("name", weights.pretrained())
def test_the_metric_of_a_shipped_rule_is_true(name, optimized):
    """Over as many runs as its card says; digits, which take longer, over a few, within their standard error."""
    recipe, learned, card = report.find_learned(name)
    told = card["metric"]
    runs = told["runs"] if recipe.family == "sinusoids" else 10
    found = report.metric(recipe, learned.rule, runs, told["seed"], learned.prior)
    allowed = 0.05 * told["mean"] if runs == told["runs"] else 4 * told["sd"] / np.sqrt(runs)  # other machines round otherwise
    assert found["name"] == told["name"] and abs(found["mean"] - told["mean"]) < allowed
    assert GOOD[recipe.family](found["mean"])


# ---------------------------------------------------------------- rules with a prior of their own

AT_HOME = RECIPE.changed(["learn_prior=True"])
MAML = AT_HOME.changed(["learner=maml", "first_scale=0.1"])


def finish_at_home(folder, recipe, seed):
    """A run as it ends that learned its prior, too; gives all that it found."""
    folder.mkdir(parents=True)
    learned = rivals.Learned(recipe.protocol, recipe.protocol.new_rule(jax.random.key(seed)), random_prior(recipe.protocol, seed))
    card = {"recipe": recipe.as_dict(), "seed": seed, "steps": 20, "skipped": 0}
    weights.save(weights.prior_path(folder / "rule"), learned.prior, card, recipe.protocol)
    weights.save(folder / "rule", learned.rule, card, recipe.protocol)
    return learned


def test_rules_are_measured_side_by_side_each_from_its_own_prior(tmp_path, monkeypatch):
    monkeypatch.setitem(rivals.FULL_BATCH_STEPS, "sinusoids", 3)
    mine, maml = finish_at_home(tmp_path / "mine", AT_HOME, 1), finish_at_home(tmp_path / "maml", MAML, 2)
    np.save(tmp_path / "rule.npy", published.flatten(mine.rule, AT_HOME.protocol))
    np.save(tmp_path / "prior.npy", np.concatenate([np.ravel(maml.prior[name]) for name in ("W1", "b1", "W2", "b2")]))
    paths = tmp_path / "rule.npy", tmp_path / "prior.npy"
    found = report.evaluate_rule(str(tmp_path / "mine"), 5, 3, *paths, [str(tmp_path / "maml")])
    assert found["beside"] == {"maml": weights.load_card(tmp_path / "maml" / "rule")["sha256"]}
    everywhere = {"MPLP": mine, "maml": maml, "authors' MPLP": mine._replace(prior=maml.prior)}
    for name, learned in everywhere.items():
        runs = evaluate.sinusoid_runs(learned.network, learned.rule, AT_HOME.task, jax.random.key(3), 5, learned.prior)
        np.testing.assert_allclose(found["methods"][name]["eval_loss"]["mean"], runs.eval_loss.mean(axis=0), rtol=1e-4)
        lost = evaluate.sinusoid_runs(learned.network, learned.rule, AT_HOME.task, jax.random.key(3), 5)
        told = found["limits"]["random priors"]["methods"][name]["eval_loss"]["mean"]
        np.testing.assert_allclose(told, lost.eval_loss.mean(axis=0), rtol=1e-4)
        longer = found["limits"]["longer"]["methods"][name]["eval_loss"]["mean"]
        np.testing.assert_allclose(longer[0], runs.eval_loss.mean(axis=0)[0], rtol=1e-4)


def test_rules_for_other_tasks_are_not_set_beside_each_other(tmp_path):
    finish_at_home(tmp_path / "mine", AT_HOME, 1)
    finish_at_home(tmp_path / "other", MAML.changed(["inner_steps=3"]), 2)
    with refused(report.ReportError, "other was trained with inner_steps=3, not 2; only rules for one network and task are compared"):
        report.evaluate_rule(str(tmp_path / "mine"), beside=[str(tmp_path / "other")])
    with refused(report.ReportError, "has a prior of its own; give the authors' prior with --published-prior"):
        report.evaluate_rule(str(tmp_path / "mine"), published=tmp_path / "vector.npy")


# ---------------------------------------------------------------- reports that cannot be made


def the_line(text):
    assert text.startswith("mplp_lite: ") and text.endswith("\n") and text.count("\n") == 1, text
    return text


def remake_card(folder, change):
    card = weights.load_card(folder / "rule")
    change(card)
    (folder / "rule.json").write_text(json.dumps(card))


def cut(folder):
    (folder / "rule.npz").write_bytes((folder / "rule.npz").read_bytes()[:-10])


BROKEN = {
    "rule missing": lambda folder: (folder / "rule.npz").unlink(),
    "card missing": lambda folder: (folder / "rule.json").unlink(),
    "rule cut": cut,
    "card no json": lambda folder: (folder / "rule.json").write_text("{"),
    "no recipe": lambda folder: remake_card(folder, lambda card: card.pop("recipe")),
    "recipe of another version": lambda folder: remake_card(folder, lambda card: card["recipe"].update(colour="red")),
    "recipe too old": lambda folder: remake_card(folder, lambda card: card["recipe"].pop("section")),
    "recipe a text": lambda folder: remake_card(folder, lambda card: card.update(recipe="sinusoid")),
    "recipe a list": lambda folder: remake_card(folder, lambda card: card.update(recipe=[1])),
    "recipe of another rule": lambda folder: remake_card(folder, lambda card: card["recipe"].update(message=2)),
    "recipe that cannot be": lambda folder: remake_card(folder, lambda card: card["recipe"].update(steps=0)),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_damaged_run_ends_with_one_clear_line(tmp_path, rule, capsys, change):
    folder = finish(tmp_path / "run", rule)
    change(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["evaluate", str(folder), "--out", str(tmp_path / "found.json")]) == 2
    the_line(capsys.readouterr().err)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before and not (tmp_path / "found.json").exists()


def test_an_unknown_rule_lists_the_shipped_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "nope"]) == 2
    line = the_line(capsys.readouterr().err)
    assert "'nope'" in line and all(name in line for name in weights.pretrained())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"text"], ids=["missing", "empty", "text"])
def test_a_published_vector_that_is_none(tmp_path, rule, capsys, content):
    folder = finish(tmp_path / "run", rule)
    if content is not None:
        (tmp_path / "vector.npy").write_bytes(content)
    assert main(["evaluate", str(folder), "--published", str(tmp_path / "vector.npy"), "--out", str(tmp_path / "found.json")]) == 2
    assert "vector.npy" in the_line(capsys.readouterr().err)


# ---------------------------------------------------------------- writing

FOUND = {"rule": "x", "runs": 1, "methods": {"MPLP": {"eval_loss": {"mean": [0.5, 0.25], "sd": [0.0, 0.125]}}}}


def test_write_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "found.json"
    for found in ({"old": [1.5] * 1000}, FOUND):
        report.write(path, found)
        assert json.loads(path.read_text()) == found
    assert [file.name for file in path.parent.iterdir()] == ["found.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_write_that_fails_leaves_the_old_report(tmp_path, monkeypatch, code):
    path = tmp_path / "found.json"
    report.write(path, {"old": 1})

    def fail(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(report.ReportError, match=os.strerror(code)) as error:
        report.write(path, FOUND)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"found.json": '{\n "old": 1\n}\n'}


def test_a_place_that_cannot_be_written_to(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "evaluate_rule", lambda *arguments, quiet: FOUND)
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "file" / "found.json", tmp_path / "folder"):
        assert main(["evaluate", "x", "--out", str(out)]) == 2
        assert str(out) in the_line(capsys.readouterr().err)
    assert (tmp_path / "file").read_text() == "text" and list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(("rule", "file"), [("runs/mine", "mine.json"), ("runs/mine/", "mine.json"), ("shipped", "shipped.json")])
def test_reports_go_to_results_by_default(tmp_path, monkeypatch, capsys, rule, file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "evaluate_rule", lambda *arguments, quiet: FOUND)
    assert main(["evaluate", rule]) == 0
    written = json.loads((tmp_path / "results" / file).read_text())
    assert {"date", "jax", "python", "device", "cores"} <= written.pop("made").keys() and written == FOUND
    assert f"results/{file}" in capsys.readouterr().out


def test_a_rule_that_breaks_down_is_reported_in_strict_json(tmp_path, rule):
    """Losses may be nan or infinite; JSON has neither."""
    found = {**FOUND, "methods": {"MPLP": {"eval_loss": evaluate.summary(np.array([[np.nan, 1.0], [np.inf, 1.0]]))}}}
    report.write(tmp_path / "found.json", found)
    json.loads((tmp_path / "found.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
