"""Ctrl-C while the command line is being imported, which takes seconds, is one line as it is later on."""

import sys


def say_stopped(kind, error, traceback, before=sys.excepthook):
    """An excepthook: one line for Ctrl-C, and for all else what there was `before`."""
    if issubclass(kind, KeyboardInterrupt):
        print("mplp_lite: stopped before it began", file=sys.stderr)
    else:
        before(kind, error, traceback)


if sys.argv[:1] == ["-m"]:  # so it is called while `python -m` looks for what to run
    sys.excepthook = say_stopped
