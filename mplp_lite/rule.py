"""A rule: everything that says how a network learns, as numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jax import Array

from .checks import check_choice, check_type
from .network import count
from .standardize import Statistics


class Rule(NamedTuple):
    """Everything that says how a network learns; a pytree.

    Attributes:
        learners: parameters of each learner, by group; meta-trained.
        scales: what each group's updates are multiplied with, `()`; meta-trained.
        statistics: the standardizers' `Statistics`, by group; calibrated, never trained.
    """

    learners: Mapping[str, Any]
    scales: Mapping[str, Array]
    statistics: Mapping[str, Statistics]

    def __repr__(self):
        groups = " ".join(self.learners)
        return f"Rule({count(self.learners)} in learners {groups}; {count(self.scales)} in scales; {count(self.statistics)} in statistics)"

    @property
    def trained(self) -> dict[str, Any]:
        """The part that meta-training may change."""
        return {"learners": self.learners, "scales": self.scales}

    def with_trained(self, trained: Mapping[str, Any]) -> "Rule":
        """This rule with another trained part.

        Raises:
            ValueError: if it holds anything but `learners` and `scales`.
            TypeError: if it is no dictionary.
        """
        check_type("trained", trained, Mapping, "a dictionary such as Rule.trained")
        for part in trained:
            check_choice("part", part, ("learners", "scales"))
        return self._replace(**trained)


Trail = dict[str, dict[str, Array]]
