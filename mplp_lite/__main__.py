"""The command line: `python -m mplp_lite train | evaluate | list | verify`."""

import argparse
import shlex
import sys
from pathlib import Path

from . import folder, recipes, report, traces, train, weights

EXPECTED = (folder.RunError, recipes.RecipeError, weights.WeightsError, report.ReportError, FileNotFoundError, ModuleNotFoundError)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0, 1 for a failed check, 2 for what could not be done, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except EXPECTED as error:
        print(f"mplp_lite: {error}", file=sys.stderr)
        return 2
    except train.Interrupted as stop:
        again = shlex.join(arguments or sys.argv[1:])
        print(f"mplp_lite: stopped, step {stop} is saved; go on with: python -m mplp_lite {again}", file=sys.stderr)
    except KeyboardInterrupt:
        print("mplp_lite: stopped; nothing that was saved before is lost", file=sys.stderr)
    return 130


def _parser():
    parser = argparse.ArgumentParser(prog="python -m mplp_lite", description="Meta-train, evaluate and verify learning protocols.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in (_add_train, _add_evaluate, _add_list, _add_verify):
        add(commands)
    return parser


def _add_train(commands):
    command = commands.add_parser("train", help="meta-train a recipe, or go on where it stopped")
    command.add_argument("recipe", help="a name that `list` shows")
    command.add_argument("--steps", type=int, help="meta-steps (default: the recipe's)")
    command.add_argument("--seed", type=_seed, default=0, help="draws everything (default: 0)")
    command.add_argument("--seeds", type=_positive, default=1, metavar="K", help="train seeds SEED, SEED+1, ... side by side (default: 1)")
    command.add_argument("--out", type=Path, help="the run's folder (default: runs/RECIPE-seedSEED; with --seeds, runs/RECIPE)")
    command.add_argument("--set", dest="changes", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe")
    command.add_argument("--checkpoint-every", type=_positive, default=100, metavar="N", help="meta-steps between checkpoints (100)")
    command.add_argument("--devices", type=_positive, default=1, metavar="N", help="devices that share the outer batch (default: 1)")
    command.set_defaults(run=_train)


def _train(options):
    changes = options.changes if options.steps is None else [*options.changes, f"steps={options.steps}"]
    recipe = recipes.find(options.recipe).changed(changes)
    if options.seeds == 1:
        out = options.out or Path("runs") / f"{recipe.name}-seed{options.seed}"
        train.train(recipe, options.seed, out, options.checkpoint_every, devices=options.devices)
        _tell(recipe, out)
        return 0
    out, seeds = options.out or Path("runs") / recipe.name, range(options.seed, options.seed + options.seeds)
    train.train_seeds(recipe, seeds, out, options.checkpoint_every, devices=options.devices)
    for seed in seeds:
        _tell(recipe, out / f"seed-{seed}")
    return 0


def _tell(recipe, out):
    card = weights.load_card(out / "rule")
    metric = card["metric"]
    print(f"{recipe.name}: {metric['name']} {_figure(metric['mean'])} ± {_figure(metric['sd'])}; the rule is {out / 'rule.npz'}")
    if card["skipped"]:
        print(f"{card['skipped']} of {recipe.steps} meta-steps were skipped: their gradient was not finite.")


def _positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} was given; it must be a whole number of at least 1")
    return int(text)


def _figure(value):
    return "not finite" if value is None else f"{value:.5f}"


def _seed(text):
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} was given; it must be a whole number from 0 to {2**31 - 1}")
    return int(text)


def _add_evaluate(commands):
    command = commands.add_parser("evaluate", help="let a rule teach fresh networks and count how well")
    command.add_argument("rule", help="a shipped rule that `list` shows, or a run's folder")
    command.add_argument("--runs", type=_positive, default=100, help="inner runs (default: 100)")
    command.add_argument("--seed", type=_seed, default=0, help="draws tasks and priors (default: 0)")
    command.add_argument("--published", type=Path, metavar="NPY", help="measure one of the authors' vectors beside it")
    command.add_argument("--out", type=Path, help="the JSON file (default: results/RULE.json)")
    command.set_defaults(run=_evaluate)


def _evaluate(options):
    found = report.evaluate_rule(options.rule, options.runs, options.seed, options.published)
    print(report.table(found))
    out = options.out or Path("results") / f"{Path(options.rule).resolve().name}.json"
    report.write(out, found)
    print(f"written to {out}")
    return 0


def _add_list(commands):
    commands.add_parser("list", help="show recipes and shipped rules").set_defaults(run=_list)


def _list(options):
    print("recipes (python -m mplp_lite train NAME):")
    for recipe in recipes.RECIPES.values():
        print(f"  {recipe.name:24} section {recipe.section}; {recipe.steps} steps")
    print("shipped rules (python -m mplp_lite evaluate NAME):")
    for name in weights.pretrained():
        card = weights.load_card(weights.pretrained_path(name))
        print(f"  {name:24} {card['metric']['name']} {_figure(card['metric']['mean'])}; {card['steps']} steps, seed {card['seed']}")
    return 0


def _add_verify(commands):
    command = commands.add_parser("verify", help="compare with a trace of the authors' code")
    command.add_argument("trace", type=Path, help="a trace_*.npz")
    command.set_defaults(run=_verify)


def _verify(options):
    errors = traces.verify(traces.Trace.load(options.trace))
    for kind, error in errors.items():
        verdict = "ok" if error <= traces.TOLERANCES[kind] else "TOO LARGE"
        print(f"{kind:14} largest error {error:.1e}, allowed {traces.TOLERANCES[kind]:.0e}: {verdict}")
    return int(any(not error <= traces.TOLERANCES[kind] for kind, error in errors.items()))


if __name__ == "__main__":
    sys.exit(main())
