"""What can go wrong with a run."""

import signal


class RunError(RuntimeError):
    """A run that cannot start or go on, and why."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM, after everything was saved.

    Attributes:
        step: the meta-step that is saved; it is what the exception says.
        signal: the number of the signal.
    """

    def __init__(self, step: int, signal: int = signal.SIGINT):
        super().__init__(step)
        self.step, self.signal = step, signal
