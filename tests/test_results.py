"""What the README claims is what the committed results files say."""

import json
import re
from pathlib import Path

import pytest

import mplp_lite as mplp

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "results" / "sinusoid.json").read_text())
DIGITS = json.loads((ROOT / "results" / "mnist.json").read_text())
SPEED = {path.stem: json.loads(path.read_text()) for path in (ROOT / "benchmarks" / "results").glob("*.json")}


def readme_rows(head):
    """Method to cells, for each row of the README's table that follows this head."""
    table = (ROOT / "README.md").read_text().partition(head)[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+?) \| ([\d. |±,-]+) \|$", table, re.MULTILINE)
    return {method: cells.split(" | ") for method, cells in rows}


def expected_cells(losses):
    """Mean per step, and the deviation after the last."""
    means = [f"{value:.5f}" for value in losses["mean"]]
    return [*means[:-1], f"{means[-1]} ± {losses['sd'][-1]:.5f}"]


def test_the_readme_table_is_the_results_file():
    expected = {method: expected_cells(found["eval_loss"]) for method, found in RESULTS["methods"].items()}
    assert readme_rows("| after ... inner steps | 0 | 1 |") == expected


def per_cent(found, step):
    return f"{100 * found['mean'][step]:.1f}"


def test_the_readme_table_of_the_digits_is_the_results_file():
    expected = {}
    for method, found in DIGITS["methods"].items():
        last = [f"{per_cent(found[part], -1)} ± {100 * found[part]['sd'][-1]:.1f}" for part in ("accuracy", "accuracy_on_100")]
        expected[method] = [*(per_cent(found["accuracy"], step) for step in (0, 4, 8, 12, 16)), *last]
    assert readme_rows("| after ... inner steps | 0 | 4 |") == expected


def test_the_readme_table_of_speed_is_the_results_file():
    expected = {}
    for kind, machine in SPEED.items():
        for name, found in machine["recipes"].items():
            authors, ratio = (f"{found['authors_s'][1]:.3f}", f"{found['ratio'][1]:.2f}") if "ratio" in found else ("-", "-")
            cells = [authors, f"{found['meta_step_s'][1]:.3f}", ratio]
            label = f"`{name}`" + (", AVX2" if kind.endswith("avx2") else "")
            expected[label] = [str(found["outer_batch"]), *cells, f"{found['limit_s']:.3f}", str(found["peak_mib_running"])]
    assert readme_rows("| recipe | tasks |") == expected


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


@pytest.mark.parametrize(("name", "results", "quantity"), [("sinusoid", RESULTS, "eval_loss"), ("mnist", DIGITS, "accuracy")])
def test_the_results_were_made_with_the_shipped_rule(name, results, quantity):
    card = mplp.load_card(mplp.pretrained_path(name))
    assert results["sha256"] == card["sha256"] and results["runs"] == 100
    assert results["methods"]["MPLP"][quantity]["mean"][-1] == card["metric"]["mean"]


def test_the_shipped_digits_rule_is_beyond_the_authors():
    """On the full test part and by the paper's protocol."""
    ours = DIGITS["methods"]["MPLP"]
    assert min(ours[part]["mean"][-1] for part in ("accuracy", "accuracy_on_100")) >= 0.5
    others = [found["accuracy"]["mean"][-1] for method, found in DIGITS["methods"].items() if method != "MPLP"]
    assert ours["accuracy"]["mean"][-1] > max(others)


def test_the_shipped_rule_is_as_good_as_the_authors_and_far_ahead_of_adam():
    losses = {method: found["eval_loss"]["mean"][-1] for method, found in RESULTS["methods"].items()}
    assert losses["MPLP"] <= 0.0011 and 5 * losses["MPLP"] < min(losses["Adam 0.01"], losses["Adam 0.03"])
    assert RESULTS["methods"]["MPLP"]["eval_loss"]["max"][-1] < 0.0229  # not one run is stuck where it began
