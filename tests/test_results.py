"""What the README claims is what the committed results files say."""

import json
import re
from pathlib import Path

import mplp_lite as mplp

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "results" / "sinusoid.json").read_text())


def readme_rows():
    """Method to cells, for each row of the README's results table."""
    rows = re.findall(r"^\| ([^|]+?) \| (0\.[\d. |±]+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {method: cells.split(" | ") for method, cells in rows}


def expected_cells(losses):
    """Mean per step, and the deviation after the last."""
    means = [f"{value:.5f}" for value in losses["mean"]]
    return [*means[:-1], f"{means[-1]} ± {losses['sd'][-1]:.5f}"]


def test_the_readme_table_is_the_results_file():
    assert readme_rows() == {method: expected_cells(found["eval_loss"]) for method, found in RESULTS["methods"].items()}


def test_the_results_were_made_with_the_shipped_rule():
    card = mplp.load_card(mplp.pretrained_path("sinusoid"))
    assert RESULTS["sha256"] == card["sha256"]
    assert RESULTS["methods"]["MPLP"]["eval_loss"]["mean"][-1] == card["metric"]["mean"]


def test_the_shipped_rule_is_as_good_as_the_authors_and_far_ahead_of_adam():
    losses = {method: found["eval_loss"]["mean"][-1] for method, found in RESULTS["methods"].items()}
    assert losses["MPLP"] <= 0.0011 and 5 * losses["MPLP"] < min(losses["Adam 0.01"], losses["Adam 0.03"])
    assert RESULTS["methods"]["MPLP"]["eval_loss"]["max"][-1] < 0.0229  # not one run is stuck where it began
