"""The package against the oracle: the same random rule, prior and data, one scalar at a time in plain numpy."""

from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pytest

import helpers
import oracle
from helpers import jit, wide
from mplp_lite.authors import published
from mplp_lite.graph import sequential
from mplp_lite.learners import GRU, Learner, Stateless
from mplp_lite.meta import MetaLoss
from mplp_lite.protocol import Protocol

STEPS, BATCH = 3, 3
TANH, RELU, NO_MEMORY = GRU(message=3, hidden=2), GRU(message=2, hidden=3, activation="relu"), Stateless(message=3)
NAMES = {"learners": "nets"}  # what the authors call a sharing scheme


class Case(NamedTuple):
    """What is compared, and how closely."""

    learner: Learner
    sharing: str
    layers: tuple
    loss: str
    momentum: float
    wide: bool = False

    @property
    def protocol(self):
        return Protocol(sequential(*self.layers, loss=self.loss), self.learner, self.sharing)

    @property
    def tolerance(self):
        return 1e-11 if self.wide else 1e-5

    def __str__(self):
        learner = getattr(self.learner, "activation", "") if isinstance(self.learner, GRU) else "stateless"
        return "-".join((learner, self.sharing, *map(str, self.layers), self.loss, "float64" if self.wide else "float32"))


CASES = [
    Case(TANH, "none", (2, 3, "tanh", 2), "l2", 1.0),
    Case(TANH, "learners", (2, 3, "sigmoid", 3, "softmax"), "cross_entropy", 0.5),
    Case(TANH, "all", (2, 3, "step", 2), "l1", 0.5),
    Case(RELU, "none", (3, 3, "softmax", 2), "l1", 0.3),
    Case(RELU, "learners", (1, 4, "relu", 2), "l2", 1.0),
    Case(RELU, "all", (2, 2, "tanh", 3, "softmax"), "cross_entropy", 0.5, wide=True),
    Case(NO_MEMORY, "none", (2, 3, "relu", 3, "softmax"), "cross_entropy", 0.5),
    Case(NO_MEMORY, "learners", (2, 3, "sigmoid", 2, "tanh", 1), "l1", 0.7, wide=True),
    Case(NO_MEMORY, "all", (2, 3, "softmax", 2), "l2", 0.5),
]


class Both(NamedTuple):
    """A case with its random rule, and everything both sides start from."""

    case: Case
    protocol: Protocol
    rule: object
    net: dict
    runs: list  # [(prior, episode), ...]


def run(protocol, rule, prior, episode):
    """Parameters after each step, predictions and hints, and the meta-loss of the run."""

    def step(state, xy):
        state, _ = protocol.update(rule, state, *xy)
        return state, (state.parameters, protocol.predict(state, episode.x_held_out), protocol.loss(state, *xy))

    _, history = jax.lax.scan(step, protocol.begin(prior, BATCH), (episode.xs, episode.ys))
    return history, MetaLoss()(protocol, rule, prior, episode, jax.random.key(0))


def precision(case):
    """The context in which the package computes a case."""
    return wide(True) if case.wide else nullcontext()


@pytest.fixture(scope="module", params=CASES, ids=str)
def both(request):
    """One case, ready to be computed by either side."""
    case, protocol = request.param, request.param.protocol
    with precision(case):
        rule = helpers.random_rule(protocol, seed=5)
        sizes = case.layers[0], [width for width in case.layers if isinstance(width, int)][-1]
        draw = partial(helpers.random_episode, *sizes, steps=STEPS, batch=BATCH, held_out=BATCH, one_hot=case.loss == "cross_entropy")
        runs = [(helpers.random_prior(protocol, seed), draw(seed + 9)) for seed in (1, 2)]
    return Both(case, protocol, rule, helpers.oracle_net(protocol, rule), runs)


def oracle_parameters(prior):
    """`[W1, b1, W2, b2, ...]`."""
    return [np.asarray(prior[f"{kind}{layer + 1}"], np.float64) for layer in range(len(prior) // 2) for kind in "Wb"]


def test_three_steps(both):
    prior, episode = both.runs[0]
    with precision(both.case):
        (parameters, predictions, hints), (meta_loss, parts) = jit(partial(run, both.protocol))(both.rule, prior, episode)
    tolerance = both.case.tolerance
    history, their_hints = oracle.inner_loop(both.net, oracle_parameters(prior), episode.xs, episode.ys)
    for t, theirs in enumerate(history[1:]):
        ours = oracle_parameters({name: values[t] for name, values in parameters.items()})
        moved = max(np.abs(new - old).max() for new, old in zip(theirs, history[t], strict=True))
        assert moved > 1e-2
        assert helpers.max_difference(ours, theirs) < tolerance
        assert predictions[t] == pytest.approx(oracle.predict(both.net, theirs, episode.x_held_out), rel=0, abs=tolerance)
    held_out = oracle.batch_loss(both.net, history[-1], episode.x_held_out, episode.y_held_out)
    assert hints == pytest.approx(np.array(their_hints), rel=0, abs=tolerance)
    assert float(parts["hint"]) == pytest.approx(np.mean(their_hints), rel=0, abs=tolerance)
    assert float(parts["held_out"]) == pytest.approx(held_out, rel=0, abs=tolerance)
    assert float(meta_loss) == pytest.approx(0.7 * np.mean(their_hints) + 0.3 * held_out, rel=0, abs=tolerance)


def test_calibration(both):
    momentum, rule = both.case.momentum, both.rule
    with precision(both.case):
        calibrate = jit(partial(both.protocol.calibrate, momentum=momentum))
        for prior, episode in both.runs:
            rule = calibrate(rule, both.protocol.begin(prior, BATCH), episode.xs, episode.ys)
    runs = [(oracle_parameters(prior), episode.xs, episode.ys) for prior, episode in both.runs]
    expected = oracle.calibrate(both.net, runs, momentum)
    assert helpers.identical((rule.learners, rule.scales), (both.rule.learners, both.rule.scales))
    for node in both.protocol.graph.nodes:
        if node.op.learns:
            ours = helpers.oracle_statistics(rule.statistics[both.protocol.statistics_group(node)])
            theirs = expected["nodes"][helpers.oracle_name(node)]
            for field, value in ours.items():
                assert value == pytest.approx(theirs[field], rel=both.case.tolerance, abs=both.case.tolerance), (node.name, field)


def test_flat_vector_means_the_same_to_the_oracle(both):
    case, flat = both.case, published.flatten(both.rule, both.protocol)
    config = {
        "arch": case.layers,
        "loss": both.net["loss"],
        "ms": both.net["ms"],
        "hn": both.net["hn"],
        "stateful": both.net["stateful"],
        "shared": NAMES.get(case.sharing, case.sharing),
    }
    parsed = oracle.from_flat(flat, config, both.net["interior"])
    assert parsed["layers"] == both.net["layers"]
    assert jax.tree.structure(parsed["nodes"]) == jax.tree.structure(both.net["nodes"])
    assert helpers.max_difference(parsed["nodes"], both.net["nodes"]) == 0


def test_cases_cover_everything():
    assert {(case.learner, case.sharing) for case in CASES} == {
        (learner, sharing) for learner in (TANH, RELU, NO_MEMORY) for sharing in ("none", "learners", "all")
    }
    assert {case.loss for case in CASES} == {"l2", "l1", "cross_entropy"}
    activations = {layer for case in CASES for layer in case.layers if isinstance(layer, str)}
    assert activations == {"tanh", "relu", "sigmoid", "step", "softmax"}
    assert any(case.layers[k] == "softmax" and len(case.layers) > k + 1 for case in CASES for k in range(len(case.layers)))


def test_published_oracle_reads_the_authors_trace(reference):
    """The oracle that all this rests on still reproduces the authors' own numbers."""
    with np.load(reference / "trace_sin_stateless.npz", allow_pickle=False) as file:
        trace = dict(file)
    net = oracle.from_flat(trace["flat"], trace["config"])
    prior = [trace[f"wb_0_{k}"] for k in range(2 * len(net["layers"]))]
    ours = oracle.meta_loss(net, prior, trace["xs"], trace["ys"], trace["xe"], trace["ye"])
    assert ours == pytest.approx(float(trace["meta_loss"]), rel=0, abs=1e-6)
