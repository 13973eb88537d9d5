"""Reports: the documented figures, comparable between methods, as strict JSON; and what they say when they cannot be made."""

import errno
import json
import os

import jax
import numpy as np
import pytest

from mplp_lite import baselines, evaluate, recipes, weights
from mplp_lite.__main__ import main
from mplp_lite.authors import published
from mplp_lite.run import report

TINY = "widths=1,3,1 learner=stateless message=1 inner_steps=2 inner_batch=3 held_out=3 outer_batch=1 warmup=0 steps=20".split()
RECIPE = recipes.find("sinusoid").changed(TINY)
METHODS = ["MPLP", "Adam 0.01", "Adam 0.03", "SGD 0.1"]


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
        printed = []
        patch.setattr("builtins.print", lambda *values, **options: printed.append(" ".join(map(str, values))))
        assert main(arguments) == 0
    return folder, json.loads(out.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON")), "\n".join(printed)


def test_the_report_has_the_documented_fields(evaluated):
    folder, found, _ = evaluated
    assert found.keys() == {"rule", "sha256", "recipe", "runs", "seed", "methods"}
    assert {key: found[key] for key in ("rule", "recipe", "runs", "seed")} == {"rule": "tiny", "recipe": "sinusoid", "runs": 7, "seed": 3}
    assert found["sha256"] == weights.load_card(folder / "rule")["sha256"]
    assert sorted(found["methods"]) == sorted([*METHODS, "authors' MPLP"])
    for losses in found["methods"].values():
        assert losses.keys() == {"eval_loss", "train_loss"}
        assert {name: len(values) for name, values in losses["eval_loss"].items()} == {"mean": 3, "sd": 3, "median": 3, "max": 3}
        assert {name: len(values) for name, values in losses["train_loss"].items()} == {"mean": 2, "sd": 2, "median": 2, "max": 2}
        assert all(np.isfinite(values).all() for kind in losses.values() for values in kind.values())


def test_all_methods_start_alike_and_go_on_differently(evaluated):
    _, found, _ = evaluated
    before = [losses["eval_loss"]["mean"][0] for losses in found["methods"].values()]
    after = [found["methods"][name]["eval_loss"]["mean"][-1] for name in METHODS]
    assert len(set(before)) == 1 and len(set(after)) == 4
    assert found["methods"]["authors' MPLP"] == found["methods"]["MPLP"]  # the same rule by another way


@pytest.mark.parametrize("method", ["MPLP", "SGD 0.1"])
def test_the_figures_are_those_of_the_runs(evaluated, rule, method):
    network, its_rule = {"MPLP": (RECIPE.protocol, rule), "SGD 0.1": (baselines.sgd(RECIPE.protocol.graph, 0.1), None)}[method]
    runs = evaluate.sinusoid_runs(network, its_rule, RECIPE.task, jax.random.key(3), 7)
    for kind, losses in (("eval_loss", runs.eval_loss), ("train_loss", runs.train_loss)):
        for name, of in {"mean": np.mean, "sd": np.std, "median": np.median, "max": np.max}.items():
            reported = evaluated[1]["methods"][method][kind][name]
            np.testing.assert_allclose(reported, of(np.asarray(losses), axis=0), rtol=1e-4)


def test_the_table_shows_every_method_and_step(evaluated):
    _, found, printed = evaluated
    head, steps, *lines = printed.splitlines()
    assert "tiny" in head and "7 runs" in head
    assert steps.split() == ["0", "1", "2", "sd", "at", "end"]
    for name, losses in found["methods"].items():
        line = next(line for line in lines if line.startswith(name))
        shown = [float(value) for value in line.removeprefix(name).split()]
        assert shown == pytest.approx([*losses["eval_loss"]["mean"], losses["eval_loss"]["sd"][-1]], abs=1e-5)
    assert "found.json" in lines[-1]
    widths = {len(line) for line in printed.splitlines()[1:-1]}
    assert len(widths) == 1  # columns stand below each other


def test_the_metric_is_the_last_eval_loss(rule):
    found = report.metric(RECIPE, rule, runs=5, seed=2)
    losses = np.asarray(evaluate.sinusoid_runs(RECIPE.protocol, rule, RECIPE.task, jax.random.key(2), 5).eval_loss)[:, -1]
    assert found["name"] == "eval loss after 2 steps" and (found["runs"], found["seed"]) == (5, 2)
    assert [found[name] for name in ("mean", "sd", "median", "max")] == pytest.approx(
        [losses.mean(), losses.std(), np.median(losses), losses.max()], rel=1e-4
    )
    assert json.loads(json.dumps(found)) == found


GOOD = {"sinusoid": lambda loss: loss < 0.0209 / 10, "mnist": lambda accuracy: accuracy > 0.5}  # far from tuned Adam; beyond the paper


@pytest.mark.parametrize("name", weights.pretrained())
def test_the_metric_of_a_shipped_rule_is_true(name, optimized):
    """Over as many runs as its card says; digits, which take longer, over a few, within their standard error."""
    recipe, rule, card = report.find_rule(name)
    told = card["metric"]
    runs = told["runs"] if recipe.family == "sinusoids" else 10
    found = report.metric(recipe, rule, runs, told["seed"])
    allowed = 0.05 * told["mean"] if runs == told["runs"] else 4 * told["sd"] / np.sqrt(runs)  # other machines round otherwise
    assert found["name"] == told["name"] and abs(found["mean"] - told["mean"]) < allowed
    assert GOOD[name](found["mean"])


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
    monkeypatch.setattr(report, "evaluate_rule", lambda *arguments: FOUND)
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "file" / "found.json", tmp_path / "folder"):
        assert main(["evaluate", "x", "--out", str(out)]) == 2
        assert str(out) in the_line(capsys.readouterr().err)
    assert (tmp_path / "file").read_text() == "text" and list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(("rule", "file"), [("runs/mine", "mine.json"), ("runs/mine/", "mine.json"), ("shipped", "shipped.json")])
def test_reports_go_to_results_by_default(tmp_path, monkeypatch, capsys, rule, file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "evaluate_rule", lambda *arguments: FOUND)
    assert main(["evaluate", rule]) == 0
    assert json.loads((tmp_path / "results" / file).read_text()) == FOUND
    assert f"results/{file}" in capsys.readouterr().out


def test_a_rule_that_breaks_down_is_reported_in_strict_json(tmp_path, rule):
    """Losses may be nan or infinite; JSON has neither."""
    found = {**FOUND, "methods": {"MPLP": {"eval_loss": evaluate.summary(np.array([[np.nan, 1.0], [np.inf, 1.0]]))}}}
    report.write(tmp_path / "found.json", found)
    json.loads((tmp_path / "found.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
