"""One factor at a time around a small sinusoid setting (appendix B): `make ablations` trains what is missing, arm by arm.

Each finished arm is written to `results/ablations.json` before the next one begins; what was interrupted goes on from its checkpoint
in `runs/ablations`. `python tools/ablations.py NAME ...` trains some arms only, `--list` says which are missing.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

from mplp_lite.__main__ import main as command
from mplp_lite.run import recipes, study

ROOT = Path(__file__).resolve().parents[1]
FILE, RUNS = ROOT / "results" / "ablations.json", ROOT / "runs" / "ablations"
SETTING = (
    "widths=1,12,12,1",
    "learner_widths=40,20",
    "reach=3",
    "steps=1600",
    "learning_rate=2e-3",
    "final_learning_rate=1e-5",
)
"""What makes the recipe `sinusoid` small: 12 units a layer, learners of half the width, `x` nearer to 0, a ninth of the meta-steps."""
ELSEWHERE = ("activation=tanh", "activation=sigmoid", "activation=step", "reach=5")
"""Where all rules are taken when they are trained."""
FURTHER = (*ELSEWHERE, "inner_steps=10", "inner_steps=20", "widths=1,40,40,1", "widths=1,12,12,12,1")
"""Where those of some arms are taken, too; gradient descent with rates of its own knows only the network that it was made for."""


class Arm(NamedTuple):
    """What an arm changes, and how many seeds it has.

    Attributes:
        changes: fields of the recipe.
        seeds: 0, 1, ...
        elsewhere: where its rules are taken, as changes of their recipe.
    """

    changes: tuple[str, ...] = ()
    seeds: int = 4
    elsewhere: tuple[str, ...] = ELSEWHERE

    @property
    def recipe(self) -> recipes.Recipe:
        """All of it."""
        return recipes.find("sinusoid").changed((*SETTING, *self.changes))

    def done(self, found: dict) -> set[int]:
        """Its seeds in a study that were taken wherever they should be."""
        mine = self.recipe.as_dict()
        return {run["seed"] for recipe, run in study.pairs(found) if recipe == mine and {*self.elsewhere} <= {*run.get("elsewhere", ())}}


ARMS = {
    "default": Arm((), 8, FURTHER),
    "gradients": Arm(("gradients=True",), 8, FURTHER),
    "meta-sgd": Arm(("learner=meta-sgd", "first_scale=0.2"), 8),
    "meta-adam": Arm(("learner=meta-adam", "first_scale=0.02"), 8),
    "message-1": Arm(("message=1",), 8),
    "message-4": Arm(("message=4",), 8),
    "learners-shared": Arm(("sharing=learners",), 8, FURTHER),
    "all-shared": Arm(("sharing=all",), 8, FURTHER),
    "stateless": Arm(("learner=stateless",), 8),
    "reach-5": Arm(("reach=5",), 8, ()),
    "half-as-wide": Arm(("learner_widths=20,10",)),
    "twice-as-wide": Arm(("learner_widths=80,40",)),
    "hint-0": Arm(("hint=0",)),
    "hint-0.3": Arm(("hint=0.3",)),
    "hint-0.9": Arm(("hint=0.9",)),
    "not-clipped": Arm(("episode_clip=0",)),
    "pool-8": Arm(("pool=8",)),
    "relu-inside": Arm(("interior=relu",)),
    "flat-candidate": Arm(("learner_widths=()",)),
}


def read() -> dict:
    """The study so far; no arms, if there is none."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"recipe": {}, "arms": []}


def missing() -> list[str]:
    """Arms that are still to be trained."""
    found = read()
    return [name for name, arm in ARMS.items() if len(arm.done(found)) < arm.seeds]


def train(name: str) -> int:
    """Trains one arm and adds it to the file; gives the exit code of the command that failed, or 0."""
    arm, folder = ARMS[name], str(RUNS / name)
    changes = [f"--set={change}" for change in (*SETTING, *arm.changes)]
    failed = command(["train", "sinusoid", *changes, f"--seeds={arm.seeds}", f"--out={folder}"])
    taken = [f"--elsewhere={changes}" for changes in arm.elsewhere]
    return failed or command(["study", folder, *taken, *(["--join"] if FILE.exists() else []), f"--out={FILE}"])


def main() -> int:
    """Trains what is missing of the named arms, or of all, until one fails or is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*ARMS, "all"], default="all", metavar="NAME", help=f"of {', '.join(ARMS)} (all)")
    parser.add_argument("--list", action="store_true", help="say which are still to be trained, and train none")
    options = parser.parse_args()
    todo = [name for name in missing() if "all" in options.names or name in options.names]
    if options.list:
        print("\n".join(todo))
        return 0
    return next((code for name in todo if (code := train(name))), 0)


if __name__ == "__main__":
    sys.exit(main())
