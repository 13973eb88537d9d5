"""MPLP, small: networks that learn by passing messages, and the meta-training that teaches them how.

After Randazzo, Niklasson, Mordvintsev: MPLP: Learning a Message Passing Learning Protocol (arXiv 2007.00970).
"""

from . import early as _early  # noqa: F401, before all that takes long

# isort: split
from importlib.metadata import version as _version

from . import baselines, data, descent, evaluate, half_trained, learners, losses, meta, nodes, standardize, tasks, views
from .authors.published import load_published, load_published_prior
from .factored import Factored
from .graph import Arrow, Backward, Forward, Graph, Node, Seed, connect, mlp, sequential, walk
from .learners import GRU, Learner, Stateless
from .meta_descent import MetaDescent
from .network import State
from .protocol import Protocol, Rule
from .run import recipes
from .run.errors import Interrupted, RunError
from .run.experiment import Experiment
from .run.loop import Trained, train, train_seeds
from .weights import WeightsError, load, load_card, load_pretrained, load_prior, pretrained, pretrained_path, save

__version__ = _version("mplp-lite")

__all__ = [
    "GRU",
    "Arrow",
    "Backward",
    "Experiment",
    "Factored",
    "Forward",
    "Graph",
    "Interrupted",
    "Learner",
    "MetaDescent",
    "Node",
    "Protocol",
    "Rule",
    "RunError",
    "Seed",
    "State",
    "Stateless",
    "Trained",
    "WeightsError",
    "baselines",
    "connect",
    "data",
    "descent",
    "evaluate",
    "half_trained",
    "learners",
    "load",
    "load_card",
    "load_pretrained",
    "load_prior",
    "load_published",
    "load_published_prior",
    "losses",
    "meta",
    "mlp",
    "nodes",
    "pretrained",
    "pretrained_path",
    "recipes",
    "save",
    "sequential",
    "standardize",
    "tasks",
    "train",
    "train_seeds",
    "views",
    "walk",
]
