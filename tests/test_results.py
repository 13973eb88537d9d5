"""What the README claims is what the committed results files say."""

import json
import re
import sys
from pathlib import Path

import pytest

import ablations
import mplp_lite as mplp
import readme
import results as tool
from mplp_lite.run import limits, rivals

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "results" / "sinusoid.json").read_text())
DIGITS = json.loads((ROOT / "results" / "mnist.json").read_text())
FACTORED = json.loads((ROOT / "results" / "factored.json").read_text())
SPEED = {path.stem: json.loads(path.read_text()) for path in (ROOT / "benchmarks" / "results").glob("*.json")}


README = (ROOT / "README.md").read_text()
PROSE = " ".join(README.split())


def test_the_readme_tables_are_the_results_files():
    """Written anew, they are as they stand there; `make results` does it."""
    assert readme.written(README) == README


def test_tables_are_replaced_and_nothing_else(monkeypatch):
    head, text = "| a | b |", "before\n| a | b | c |\n|---|---|---|\n| old | 1 | 2 |\n\nafter | a | b |\n"
    monkeypatch.setattr(readme, "TABLES", {head: lambda: iter([("new", "3", "4"), ("newer", "5", "-")])})
    wanted = text.replace("| old | 1 | 2 |", "| new | 3 | 4 |\n| newer | 5 | - |")
    assert readme.written(text) == wanted == readme.written(wanted)
    with pytest.raises(ValueError, match="no table that begins with"):
        readme.written("before\n\nafter\n")


def test_some_cells_looked_up_by_hand():
    rows = {method: cells for method, *cells in readme.losses_by_step()}
    assert float(rows["MPLP"][3]) == pytest.approx(RESULTS["methods"]["MPLP"]["eval_loss"]["mean"][3], abs=5e-6)
    rows = {method: cells for method, *cells in readme.accuracies_by_step()}
    assert float(rows["authors' MPLP"][2]) == pytest.approx(100 * DIGITS["methods"]["authors' MPLP"]["accuracy"]["mean"][8], abs=0.05)
    mean, deviation = (100 * DIGITS["methods"]["MPLP"]["accuracy_on_100"][of][-1] for of in ("mean", "sd"))
    assert rows["MPLP"][-1] == f"{mean:.1f} ± {deviation:.1f}"
    rows = {method: cells for method, *cells in readme.accuracies_elsewhere()}
    step = DIGITS["limits"]["step"]["methods"]["authors' MPLP"]["accuracy"]
    assert rows["step activation"][1] == f"{100 * step['mean'][-1]:.1f} ± {100 * step['sd'][-1]:.1f}"
    rows = {method: cells for method, *cells in readme.longer_losses()}
    longer = RESULTS["limits"]["longer"]
    assert rows["MPLP"][4] == f"{longer['methods']['MPLP']['eval_loss']['mean'][longer['steps'].index(20)]:,.0f}"


@pytest.mark.parametrize(
    ("found", "beside"),
    [(RESULTS, ["authors' MPLP"]), (DIGITS, ["authors' MPLP", "transfer"]), (FACTORED, [])],
    ids=["sinusoid", "mnist", "factored"],
)
def test_the_columns_of_the_limits_are_the_rules_and_adam(found, beside):
    for case in found["limits"].values():
        *ours, rival = case["methods"]
        assert (ours, rival[:5], case["runs"]) == (["MPLP", *beside], "Adam ", 20)


def test_the_front_of_the_readme_has_numbers_of_its_tables():
    """The rule after five steps and after twenty; between them the mean curve."""
    steps, longer = ({method: cells for method, *cells in rows()} for rows in (readme.losses_by_step, readme.longer_losses))
    rule, curve = steps["MPLP"][-1].partition(" ")[0], steps["the family's mean curve"][0]
    rows = re.findall(r"^\| .* \| ([\d.,]+) \|$", README.partition("| | loss |")[2].partition("\n\n")[0], re.MULTILINE)
    assert rows == [rule, curve, longer["MPLP"][4]] and f"{float(steps['MPLP'][0]):.4f} before the first step" in PROSE


@pytest.mark.parametrize("found", [RESULTS, DIGITS], ids=["sinusoid", "mnist"])
def test_the_readme_says_how_soon_a_full_batch_is_as_good(found):
    quarter, half, three = found["full_batch"]["steps_to_the_rule"]["quartiles"]
    assert f"after {half:.0f} such steps (median; quartiles {quarter:.0f} and {three:.0f})" in PROSE


def test_the_readme_says_how_three_other_seeds_end():
    (arm,) = json.loads((ROOT / "results" / "sinusoid-short.json").read_text())["arms"]
    assert "end at {:.4f}, {:.4f} and {:.4f}".format(*(run["metric"]["mean"] for run in arm["runs"])) in PROSE


def test_other_seeds_of_the_learned_prior_are_told_with_and_without_hints():
    """In the README by their end, in chapter 8 by each step."""
    chapter = (ROOT / "book" / "08_prior.py").read_text()
    arms = json.loads((ROOT / "results" / "prior-short.json").read_text())["arms"]
    assert [arm["changes"] for arm in arms] == [{"hint": 0.0}, {"hint": 0.7}]
    told = ["{:.4f}, {:.4f} and {:.4f}".format(*(run["metric"]["mean"] for run in arm["runs"])) for arm in arms]
    assert f"end at {told[0]}, and with a hint loss at {told[1]}" in PROSE
    for run in (run for arm in arms for run in arm["runs"]):
        assert f"| {run['seed']} | " + " | ".join(f"{loss:.4f}" for loss in run["metric"]["by_step"]) + " |" in chapter


def test_other_seeds_of_the_digits_rule_are_told_with_and_without_shared_standardizers():
    """In the README by their end, in chapter 9 by their held-out loss on the way, too."""
    chapter = (ROOT / "book" / "09_digits.py").read_text()
    arms = json.loads((ROOT / "results" / "mnist-short.json").read_text())["arms"]
    assert [arm["changes"] for arm in arms] == [{"sharing": "all"}, {"sharing": "learners"}]
    for arm in arms:
        assert "end at {:.1f}, {:.1f} and {:.1f} %".format(*(100 * run["metric"]["mean"] for run in arm["runs"])) in PROSE
    for run in (run for arm in arms for run in arm["runs"]):
        curve = dict(zip(run["curve"]["step"], run["curve"]["held_out"], strict=True))
        losses = " | ".join(f"{curve[step]:.3f}" for step in (200, 400, 600))
        accuracy = "{:.1f} ± {:.1f}".format(100 * run["metric"]["mean"], 100 * run["metric"]["sd"])
        assert f"| {run['seed']} | {losses} | {accuracy} |" in chapter


def test_the_readme_says_what_a_meta_trained_adam_reaches():
    """Each of three seeds; and it must go on saying that the rule is not ahead."""
    (arm,) = json.loads((ROOT / "results" / "mnist-meta-adam.json").read_text())["arms"]
    ends = [run["metric"]["mean"] for run in arm["runs"]]
    assert "Adam reaches {:.1f}, {:.1f} and {:.1f} (three meta-seeds".format(*(100 * end for end in ends)) in PROSE
    assert "It is not ahead of an Adam" in PROSE and min(ends) > DIGITS["methods"]["MPLP"]["accuracy"]["mean"][-1]


def test_the_readme_says_what_larger_weights_do():
    first, *_, last = RESULTS["limits"]["LeCun"]["methods"]["MPLP"]["eval_loss"]["mean"]
    assert f"from {first:.2f} to {last:,.0f}" in PROSE


@pytest.mark.parametrize("found", [RESULTS, DIGITS, FACTORED], ids=["sinusoid", "mnist", "factored"])
def test_chosen_rates_are_not_at_the_edge(found):
    """Of what was tried: a better one may then lie outside."""

    def inside(names, tried):
        rates = [float(re.search(r"(\d[\d.]*),", name)[1]) for name in names if "best rate" in name]
        return rates and all(min(tried) < rate < max(tried) for rate in rates)

    once = [name for name in found["methods"] if "at once" not in name]
    assert inside(once, found["rates"]["tried"])
    assert inside({*found["methods"], found["full_batch"]["method"]} - {*once}, rivals.FULL_BATCH_RATES)
    assert inside([name for case in found["limits"].values() for name in case["methods"]], limits.RATES)


@pytest.mark.parametrize("kind", ["cpu-2", "cpu-2-avx2"])
@pytest.mark.parametrize("name", ["sinusoid-as-published", "mnist-as-published"])
def test_both_sides_took_turns_and_ours_is_not_behind_and_small(kind, name):
    """What README and page say: ahead on the sinusoids, level on the digits."""
    found = SPEED[kind]["recipes"][name]
    assert len(found["ratio"]) == len(found["ratio_with_a_busy_core"]) == 3
    ahead, level = (found[key][0] for key in ("ratio", "ratio_with_a_busy_core")), found["ratio"]
    assert min(ahead) > 1.2 if name.startswith("sinusoid") else 0.9 < level[0] <= level[2] < 1.2
    assert found["limit_s"] < found["meta_step_s"][1] < found["as_defined_s"][1]
    assert found["program_mib"] < found["peak_mib_running"] < 1e9 / 2**20
    assert found["compile_s"] < 20


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.json")), ids=lambda path: path.stem)
def test_no_results_file_is_stale(path):
    assert tool.complaints(path.stem) == []


def test_what_is_missing_or_stale_is_told_with_its_command(tmp_path, monkeypatch, capsys):
    study = tool.Study("sinusoid", "--steps 40", ("steps=40",), seeds=2, more=("--seed 7",), elsewhere=("message=4",))
    monkeypatch.setattr(tool, "RESULTS", {"sinusoid": tool.Measured("sinusoid", ("mnist",), ""), "short": study})
    assert tool.complaints("sinusoid", tmp_path) == ["it is missing"]
    (tmp_path / "sinusoid.json").write_text(json.dumps({**RESULTS, "beside": {"mnist": "another"}}))
    assert tool.complaints("sinusoid", tmp_path) == ["it was not made with the mnist rule that is shipped"]
    (tmp_path / "short.json").write_text(json.dumps({"recipe": {"steps": 30, "message": 8}, "arms": [{"runs": [{"seed": 0}]}]}))
    assert tool.complaints("short", tmp_path) == [
        "the recipe has another steps by now",
        "1 arms of 2 runs are wanted, but it has [1]",
        "its rules are to be taken to message=4",
    ]
    monkeypatch.setattr(tool, "complaints", lambda name: ["it is missing"])
    assert tool.main() == 1
    said = capsys.readouterr().out
    assert "train sinusoid --steps 40 --out runs/short && python -m mplp_lite train sinusoid --seed 7 --out runs/short/more-1 && " in said
    assert 'python -m mplp_lite study runs/short --elsewhere "message=4"' in said
    assert "python -m mplp_lite evaluate sinusoid --beside mnist" in said and "0 of 2" in said


def test_arms_of_the_ablations_differ_and_are_told_when_missing(tmp_path, monkeypatch, capsys):
    told = [arm.recipe.as_dict() for arm in ablations.ARMS.values()]
    assert all(told.count(recipe) == 1 for recipe in told)
    assert {arm.seeds for arm in ablations.ARMS.values()} == {4, 8}
    runs = [{"seed": seed, "elsewhere": dict.fromkeys(ablations.FURTHER)} for seed in range(8)]
    arms = ({}, runs), ({"message": 1}, runs[:7]), ({"hint": 0.2}, runs)
    found = {"recipe": told[0], "arms": [{"changes": changes, "runs": done} for changes, done in arms]}
    monkeypatch.setattr(ablations, "FILE", tmp_path / "ablations.json")
    assert ablations.ARMS["default"].done(ablations.read()) == set()
    ablations.FILE.write_text(json.dumps(found))
    assert ablations.ARMS["default"].done(ablations.read()) == {*range(8)}
    assert ablations.ARMS["default"]._replace(elsewhere=("reach=2",)).done(ablations.read()) == set()
    assert tool.complaints("ablations", tmp_path) == ["8 of its runs are of arms that are no longer in the study"]
    tool.main()
    said = capsys.readouterr().out
    assert "still to be trained are gradients, meta-sgd, " in said and "make ablations" in said and "default," not in said


@pytest.mark.parametrize("chapter", ["11_many_seeds", "14_gradients"])
def test_chapters_show_the_setting_of_the_study(chapter):
    shown = (ROOT / "book" / f"{chapter}.py").read_text().partition("SETTING = (")[2].partition("\n)")[0]
    assert tuple(re.findall(r'"(.+)"', shown)) == ablations.SETTING


def test_an_arm_is_added_to_the_file_when_it_is_trained(tmp_path, monkeypatch):
    """The second one finds the first one's runs there."""
    small = ("steps=10", "widths=1,2,1", "learner_widths=2,", "outer_batch=1")
    tiny = {name: ablations.Arm((f"message={name}", *small), 2) for name in ("1", "2")}
    monkeypatch.setattr(ablations, "ARMS", tiny)
    monkeypatch.setattr(ablations, "FILE", tmp_path / "ablations.json")
    monkeypatch.setattr(ablations, "RUNS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["ablations.py"])
    assert ablations.main() == 0
    assert [arm.done(ablations.read()) for arm in tiny.values()] == [{0, 1}, {0, 1}] and ablations.read()["made"]["cores"]


@pytest.mark.parametrize(
    ("name", "results", "quantity"), [("sinusoid", RESULTS, "eval_loss"), ("mnist", DIGITS, "accuracy"), ("factored", FACTORED, "accuracy")]
)
def test_the_results_were_made_with_the_shipped_rule(name, results, quantity):
    card = mplp.load_card(mplp.pretrained_path(name))
    assert results["sha256"] == card["sha256"] and results["runs"] == 100
    assert results["methods"]["MPLP"][quantity]["mean"][-1] == card["metric"]["mean"]


def test_the_shipped_digits_rule_is_beyond_the_authors():
    """On the full test part and by the paper's protocol."""
    ours = DIGITS["methods"]["MPLP"]
    assert min(ours[part]["mean"][-1] for part in ("accuracy", "accuracy_on_100")) >= 0.5
    once = {method: found for method, found in DIGITS["methods"].items() if "rate" in method and "at once" not in method}
    once["authors"] = DIGITS["methods"]["authors' MPLP"]
    assert ours["accuracy"]["mean"][-1] > max(found["accuracy"]["mean"][-1] for found in once.values())


def test_the_factored_rule_is_ahead_of_adam_wherever_it_is_taken():
    """After twenty steps, in every case; with the step activation still after two hundred."""
    for name, case in FACTORED["limits"].items():
        at = case["steps"].index(20)
        rule, rival = (found["accuracy"]["mean"][at] for found in case["methods"].values())
        assert rule > rival + 0.08, name
    rule, rival = (found["accuracy"]["mean"][-1] for found in FACTORED["limits"]["step, longer"]["methods"].values())
    assert rule > rival + 0.1


def test_the_front_of_the_readme_has_the_factored_rules_numbers():
    home, adam = (FACTORED["methods"][name]["accuracy"]["mean"][-1] for name in ("MPLP", "Adam 0.03, LeCun, best rate"))
    step = FACTORED["limits"]["step"]["methods"]["MPLP"]["accuracy"]["mean"][-1]
    assert f"{100 * home:.0f} of 100 right after 160 images, each seen once, where the best Adam has {100 * adam:.0f}" in PROSE
    assert f"and {100 * step:.0f} with step activations" in PROSE


def test_the_shipped_rule_is_ahead_of_the_authors_and_far_ahead_of_gradients():
    losses = {method: found["eval_loss"]["mean"][-1] for method, found in RESULTS["methods"].items()}
    others = [loss for method, loss in losses.items() if "MPLP" not in method]  # all of gradient descent, and the mean curve
    assert losses["MPLP"] < losses["authors' MPLP"] <= 0.0012 and losses["MPLP"] <= 0.0006 and 20 * losses["MPLP"] < min(others)
    assert RESULTS["methods"]["MPLP"]["eval_loss"]["max"][-1] < 0.0229  # not one run is stuck where it began


# ---------------------------------------------------------------- rules with a prior of their own

PRIOR = json.loads((ROOT / "results" / "prior.json").read_text())


def _after_two(method):
    return PRIOR["methods"][method]["eval_loss"]["mean"][-1]


def test_what_the_readme_says_of_learned_priors():
    """The rule is ahead of its frozen twin, the authors' and every MAML, and behind Meta-SGD."""
    order = ["meta-sgd", "MPLP", "prior-frozen", "maml-tuned", "authors' MPLP", "maml"]
    assert sorted(order, key=_after_two) == order and _after_two("maml-tuned") > 2 * _after_two("MPLP")
    (arm,) = json.loads((ROOT / "results" / "meta-sgd.json").read_text())["arms"]
    first, second, third = (f"{run['metric']['mean']:.5f}" for run in arm["runs"])
    assert f"ends at {first}, and two other seeds of it at {second} and {third}" in PROSE
    rule = PRIOR["limits"]["random priors"]["methods"]["MPLP"]["eval_loss"]["mean"]
    assert f"from {rule[0]:.3f} to {rule[-1]:.3f}" in PROSE


def test_the_goals_of_learned_priors_are_reached():
    """The published pair has .00102 by the authors' own count."""
    frozen = PRIOR["methods"]["prior-frozen"]["eval_loss"]
    assert _after_two("MPLP") <= 0.0005 and frozen["mean"][-1] <= 0.00102 + 2 * frozen["se"][-1]


def test_the_rate_of_the_tuned_maml_is_the_best_that_was_tried_and_not_at_the_edge():
    """Chosen by the last held-out losses of meta-training, not by the tasks of the table."""
    arms = json.loads((ROOT / "results" / "prior-maml.json").read_text())["arms"]
    ends = {arm["changes"]["first_scale"]: sum(arm["runs"][0]["curve"]["held_out"][-10:]) for arm in arms}
    assert min(ends, key=ends.get) == mplp.recipes.find("maml-tuned").first_scale not in (min(ends), max(ends))
