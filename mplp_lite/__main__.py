"""The command line: `python -m mplp_lite train | evaluate | study | list | verify`."""

import argparse
import os
import shlex
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import jax

from . import data, weights
from .authors import traces
from .run import errors, grid, hosts, loop, recipes, report, study

EXPECTED = (
    errors.RunError,
    recipes.RecipeError,
    weights.WeightsError,
    report.ReportError,
    data.DataError,
    FileNotFoundError,
    ModuleNotFoundError,
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; gives its exit code: 0, 1 for a failed check, 2 for what could not be done, 130 or 143 after Ctrl-C or SIGTERM."""
    options = _parser().parse_args(arguments)
    try:
        with _terminating():
            return options.run(options)
    except EXPECTED as error:
        print(f"mplp_lite: {error}", file=sys.stderr)
        if isinstance(error, hosts.HostLost):
            hosts.leave(2)
        return 2
    except errors.Interrupted as stop:
        again = shlex.join(arguments or sys.argv[1:])
        print(f"mplp_lite: stopped, step {stop.step} is saved; go on with: python -m mplp_lite {again}", file=sys.stderr)
        return 128 + stop.signal
    except KeyboardInterrupt as stop:
        print("mplp_lite: stopped; nothing that was saved before is lost", file=sys.stderr)
        return 128 + (stop.args or (signal.SIGINT,))[0]


@contextmanager
def _terminating():
    """SIGTERM stops as Ctrl-C does, where the training loop does not look after it."""

    def stop(number, _):
        raise KeyboardInterrupt(number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # only the main thread may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m mplp_lite", description="Meta-train, evaluate and verify learning protocols.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in (_add_train, _add_evaluate, _add_study, _add_list, _add_verify):
        add(commands)
    return parser


def _add_train(commands):
    command = commands.add_parser("train", help="meta-train a recipe, or go on where it stopped")
    command.add_argument("recipe", help="a name that `list` shows")
    command.add_argument("--steps", type=int, help="meta-steps (default: the recipe's)")
    command.add_argument("--seed", type=_number, default=0, help="draws everything (default: 0)")
    command.add_argument("--seeds", type=_positive, default=1, metavar="K", help="train seeds SEED, SEED+1, ... side by side (default: 1)")
    command.add_argument("--out", type=Path, help="the run's folder (default: runs/RECIPE-seedSEED; of several: runs/RECIPE)")
    command.add_argument("--set", dest="changes", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe")
    command.add_argument("--checkpoint-every", type=_positive, default=100, metavar="N", help="meta-steps between checkpoints (100)")
    command.add_argument("--grid", action="append", default=[], metavar="FIELD=A,B,C", help="train every value; several: all combinations")
    command.add_argument("--devices", type=_positive, metavar="N", help="devices that share the outer batch (1; on several hosts all)")
    command.add_argument("--hosts", type=_hosts, metavar="N", help="processes that train together; auto: as the TPU slice or Slurm says")
    command.add_argument("--host", type=_number, metavar="I", help="which of the hosts this is, from 0")
    command.add_argument("--coordinator", metavar="ADDRESS:PORT", help="where host 0 listens")
    command.set_defaults(run=_train)


def _train(options):
    _connect(options)
    changes = options.changes if options.steps is None else [*options.changes, f"steps={options.steps}"]
    recipe = recipes.find(options.recipe).changed(changes)
    arms = _arms(options, recipe)
    devices = options.devices or (jax.device_count() if jax.process_count() > 1 else 1)
    loop.train_arms(arms, options.checkpoint_every, devices=devices)
    if hosts.leads():
        for arm in arms:
            _tell(arm.recipe, arm.out)
    return 0


def _connect(options):
    named = (options.host, options.coordinator)
    if options.hosts is None or options.hosts == "auto":
        if named != (None, None):
            raise errors.RunError("--host and --coordinator were given without --hosts N; say how many hosts there are.")
    elif None in named or options.host >= options.hosts:
        raise errors.RunError(f"--hosts {options.hosts} needs --coordinator ADDRESS:PORT and --host I, from 0 to {options.hosts - 1}.")
    if options.hosts is not None:
        hosts.connect(options.coordinator, None if options.hosts == "auto" else options.hosts, options.host)


def _arms(options, recipe):
    if options.seeds == 1 and not options.grid:
        return [grid.Arm(recipe, options.seed, options.out or Path("runs") / f"{recipe.name}-seed{options.seed}")]
    seeds = range(options.seed, options.seed + options.seeds)
    return grid.arms(recipe, options.grid, seeds, options.out or Path("runs") / recipe.name)


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


def _hosts(text):
    return text if text == "auto" else _positive(text)


def _number(text):
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} was given; it must be a whole number from 0 to {2**31 - 1}")
    return int(text)


def _add_evaluate(commands):
    command = commands.add_parser("evaluate", help="let a rule teach fresh networks and count how well")
    command.add_argument("rule", help="a shipped rule that `list` shows, or a run's folder")
    command.add_argument("--runs", type=_positive, default=100, help="inner runs (default: 100)")
    command.add_argument("--seed", type=_number, default=0, help="draws tasks and priors (default: 0)")
    command.add_argument("--published", type=Path, metavar="NPY", help="measure one of the authors' vectors beside it")
    command.add_argument("--published-prior", type=Path, metavar="NPY", help="the authors' prior that goes with it")
    command.add_argument("--beside", action="append", default=[], metavar="RULE", help="measure another rule for the same task beside it")
    command.add_argument("--out", type=Path, help="the JSON file (default: results/RULE.json)")
    command.set_defaults(run=_evaluate)


def _evaluate(options):
    authors = options.published, options.published_prior
    found = report.evaluate_rule(options.rule, options.runs, options.seed, *authors, tuple(options.beside), quiet=False)
    print(report.table(found))
    out = options.out or Path("results") / f"{Path(options.rule).resolve().name}.json"
    report.write(out, found | {"made": report.made()})
    print(f"written to {out}")
    return 0


def _add_study(commands):
    command = commands.add_parser("study", help="gather the finished runs below a folder")
    command.add_argument("folder", type=Path, help="what `train --out` was told")
    command.add_argument("--elsewhere", action="append", default=[], metavar="CHANGES", help="take the rules to 'FIELD=VALUE ...', too")
    command.add_argument("--join", action="store_true", help="keep the arms and seeds that the file holds already")
    command.add_argument("--out", type=Path, help="the JSON file (default: results/FOLDER.json)")
    command.set_defaults(run=_study)


def _study(options):
    out = options.out or Path("results") / f"{options.folder.resolve().name}.json"
    earlier = study.read(out) if options.join else None
    found = study.collect(options.folder, options.elsewhere)
    found = study.joined(earlier, found) if options.join else found
    print(study.table(found))
    report.write(out, found | {"made": report.made()})
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


def _keep_programs():
    """What was compiled once is read from the user's cache from then on, unless jax was told of another one."""
    if jax.config.jax_compilation_cache_dir is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "mplp_lite"))


if __name__ == "__main__":
    _keep_programs()
    sys.exit(main())
