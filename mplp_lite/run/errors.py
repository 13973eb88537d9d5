"""What can go wrong with a run."""


class RunError(RuntimeError):
    """A run that cannot start or go on, and why."""


class Interrupted(Exception):
    """Ctrl-C, after everything was saved."""
