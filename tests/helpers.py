"""Random rules, priors and data for small networks; a rule in the oracle's words."""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mplp_lite.learners import GRU
from mplp_lite.nodes import Activation, Fired, Operation, Softmax, Weight
from mplp_lite.protocol import Protocol, Rule
from mplp_lite.tasks import Episode
from mplp_lite.weights import named_leaves

ORACLE_LOSSES = {"L2": "l2", "L1": "l1", "CrossEntropy": "ce"}

try:
    wide = jax.enable_x64  # `with wide(True):` computes in float64
except AttributeError:  # an older jax
    from jax.experimental import enable_x64 as wide  # noqa: F401

QUICKLY = {"xla_cpu_use_fusion_emitters": False}
try:
    jax.jit(jnp.negative, compiler_options=QUICKLY)(1.0)
except jax.errors.JaxRuntimeError:  # this XLA has no such option
    QUICKLY = {}
jit = partial(jax.jit, compiler_options=QUICKLY)  # compiles in half the time


def noise(seed, *shape):
    """Standard normal numbers in today's default dtype."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), float)


def random_rule(protocol, seed=0):
    """A rule without symmetries: no bias, mean or scale is zero, no norm is one."""
    template = jax.eval_shape(protocol.new_rule, jax.random.key(0))
    rng = np.random.default_rng(seed)
    leaves = [_random_leaf(name, leaf, rng) for name, leaf in named_leaves(template).items()]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _random_leaf(name, leaf, rng):
    values = rng.normal(size=leaf.shape)
    if name.endswith("/norm"):
        values = np.exp(0.5 * values)
    elif name.startswith("scales/"):
        values = 0.2 * np.exp(0.3 * values)
    elif name.endswith("/W"):
        values = values / np.sqrt(leaf.shape[0])
    else:
        values = 0.3 * values
    return jnp.asarray(values, leaf.dtype)


def random_prior(protocol, seed=0):
    """Weights and biases of about 1, biases not zero."""
    return {name: noise([seed, number], *shape) for number, (name, shape) in enumerate(protocol.parameter_shapes.items())}


def random_episode(inputs, outputs, seed=0, steps=3, batch=4, held_out=4, one_hot=False):
    """Random data; targets are one-hot classes if asked for."""
    shapes = (steps, batch, inputs), (steps, batch, outputs), (held_out, inputs), (held_out, outputs)
    xs, ys, x, y = (noise([seed, number], *shape) for number, shape in enumerate(shapes))
    if one_hot:
        ys, y = (jax.nn.one_hot(values.argmax(-1), outputs, dtype=values.dtype) for values in (ys, y))
    return Episode(xs, ys, x, y)


def meta_losses(protocol, meta_steps=12, rate=0.03, steps=3, batch=4):
    """The loss after an inner run that shall make a network like another one, before each of some meta-steps with Adam."""
    state, teacher = (protocol.begin(random_prior(protocol, seed), batch) for seed in (1, 2))
    xs = {name: noise([3, k], steps, batch, protocol.graph.node(name).op.units) for k, name in enumerate(protocol.graph.inputs)}
    ys = jax.vmap(lambda x: protocol.predict(teacher, x))(xs)
    rule = jit(protocol.calibrate)(protocol.new_rule(jax.random.key(4)), state, xs, ys)
    optimizer, losses = optax.adam(rate), []

    def loss(trained):
        learned, _ = jax.lax.scan(lambda s, xy: (protocol.update(rule.with_trained(trained), s, *xy)[0], None), state, (xs, ys))
        return jax.vmap(lambda x, y: protocol.loss(learned, x, y))(xs, ys).mean()

    @jit
    def step(trained, memory):
        value, gradient = jax.value_and_grad(loss)(trained)
        updates, memory = optimizer.update(gradient, memory)
        return optax.apply_updates(trained, updates), memory, value

    trained, memory = rule.trained, optimizer.init(rule.trained)
    for _ in range(meta_steps):
        trained, memory, value = step(trained, memory)
        losses.append(float(value))
    return losses


def max_difference(tree, other):
    """The largest absolute difference between two trees of the same structure; nan if there is one."""
    differences = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - np.asarray(b)).max(initial=0.0), tree, other)
    return np.max(jax.tree.leaves(differences))


def identical(tree, other):
    """Whether two trees of the same structure agree bit for bit."""
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(), tree, other)))


@contextmanager
def refused(exception, match):
    """Expects exactly `exception`, with one sentence in one line, that matches `match`."""
    with pytest.raises(exception, match=match) as caught:
        yield
    assert caught.type is exception
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith("."), sentence


# ---- a rule in the oracle's words ----


def oracle_layers(graph):
    """`[(in, out, activation), ...]` of a layered graph."""
    layers = []
    for node in graph.nodes:
        if isinstance(node.op, Weight):
            layers.append((node.op.inputs, node.op.units, "none"))
        elif isinstance(node.op, Activation | Softmax):
            layers[-1] = (*layers[-1][:2], "softmax" if isinstance(node.op, Softmax) else node.op.fn)
    return layers


def oracle_name(node):
    """What the oracle calls a node: `act1` for `relu1` and `softmax1`."""
    return "act" + node.name.lstrip("abcdefghijklmnopqrstuvwxyz") if isinstance(node.op, Activation | Softmax) else node.name


def oracle_net(protocol: Protocol, rule: Rule):
    """The oracle's `net` that learns as `rule` says; what is shared is the same object."""
    rule = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), rule)
    stateful, nodes, shared = isinstance(protocol.learner, GRU), {}, {}
    learners = {group: oracle_gru(learner) if stateful else _oracle_pair(learner) for group, learner in rule.learners.items()}
    learning = [node for node in protocol.graph.nodes if node.op.learns]
    for node in learning:
        group = protocol.statistics_group(node)
        own = {**oracle_statistics(rule.statistics[group]), **learners[protocol.learner_group(node)]}
        if group in rule.scales:
            own["out_scale"] = float(rule.scales[group])
        nodes[oracle_name(node)] = shared.setdefault(group, own)
    return {
        "layers": oracle_layers(protocol.graph),
        "loss": ORACLE_LOSSES[type(learning[-1].op).__name__],
        "stateful": stateful,
        "ms": protocol.learner.message,
        "hn": getattr(protocol.learner, "hidden", 0),
        "interior": protocol.learner.activation if stateful else "relu",
        "nodes": nodes,
    }


def oracle_statistics(statistics):
    """A node's statistics as the oracle keeps them."""
    found = {"norm": [float(v) for v in statistics.norm], "mean_zeroer": [float(v) for v in statistics.mean_zeroer]}
    return found if statistics.out_mean is None else found | {"out_mean": float(statistics.out_mean)}


def _oracle_layers_of(perceptron):
    return [(layer["W"], layer.get("b")) for _, layer in sorted(perceptron.items())]


def oracle_gru(p):
    """A gated recurrent unit's parameters as the oracle keeps them."""
    *layers, (last, b_n) = _oracle_layers_of(p["MLP_c"])
    gates = {f"W_{gate}{source}": p[f"{gate}_{source}"]["W"] for gate in "ur" for source in "xc"}
    biases = {"b_u": p["u_c"]["b"], "b_r": p["r_c"]["b"], "b_n": b_n}
    return {"learner": gates | biases | {"x_net": _oracle_layers_of(p["MLP_x"]), "c_net": [*layers, (last, None)]}}


def _oracle_pair(p):
    return {name: _oracle_layers_of(perceptron) for name, perceptron in p.items()}


@dataclass(frozen=True)
class Gain(Operation):
    """`y_u = s_u x_u`."""

    @property
    def parameter_shape(self):
        return self.shape

    def initial(self, key):
        return jnp.ones(self.parameter_shape)

    def forward(self, parameter, x):
        return Fired(x * parameter[None], (x,))
