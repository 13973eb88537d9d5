"""Shapes and dtypes at the public boundaries, as the docstrings give them: axes of one name agree within a call (jaxtyping, beartype)."""

import jax
import jax.numpy as jnp
import pytest
from beartype import beartype
from jaxtyping import Array, Float, TypeCheckError, jaxtyped

import mplp_lite as mplp
from helpers import random_episode
from mplp_lite import evaluate, meta, standardize, tasks
from mplp_lite.learners import GRU, Stateless, Thought
from mplp_lite.network import State

checked = jaxtyped(typechecker=beartype)
NETS = {"regression": mplp.mlp(2, 4, 1), "classes": mplp.mlp(3, 5, 4, activation="sigmoid", loss="cross_entropy")}
LEARNERS = {"gru": GRU(message=3, hidden=2, widths=(4,)), "stateless": Stateless(message=3, widths=(4,))}


def answers(thought, shape, batch):
    """A `Thought`, of a node with entries of that shape."""
    _answer(thought.update, thought.message, jnp.zeros(shape), jnp.zeros((batch, shape[0])))
    return thought


@checked
def _answer(
    update: Float[Array, "*entries"], message: Float[Array, "b inputs 3"], parameter: Float[Array, "*entries"], x: Float[Array, "b inputs"]
):
    """Shapes of an answer beside what they must agree with."""


class Typed(GRU):
    """A GRU whose answers are checked as it gives them."""

    def __call__(self, op, reads, carry):
        thought = super().__call__(op, reads, carry)
        if carry is not None and thought.carry.shape != carry.shape:
            raise TypeCheckError("a carry changed its shape")
        return answers(thought, op.shape, carry.shape[0]) if thought.update is not None else thought


@checked
def measure(reads: tuple[Float[Array, "..."], ...]) -> tuple[Float[Array, " pieces"], Float[Array, " pieces"]]:
    return standardize.measure(reads)


@checked
def predict(protocol: mplp.Protocol, state: State, x: Float[Array, "n inputs"], y: Float[Array, "n outputs"]) -> Float[Array, "n outputs"]:
    return protocol.predict(state, x)


@checked
def unit_losses(
    protocol: mplp.Protocol, state: State, x: Float[Array, "n inputs"], y: Float[Array, "n outputs"]
) -> Float[Array, "n outputs"]:
    return protocol.unit_losses(state, x, y)["loss"]


@checked
def loss(protocol: mplp.Protocol, state: State, x: Float[Array, "n inputs"], y: Float[Array, "n outputs"]) -> Float[Array, ""]:
    return protocol.loss(state, x, y)


@checked
def layer(
    before: Float[Array, "inputs units"], after: Float[Array, "inputs units"], bias: Float[Array, " units"], new: Float[Array, " units"]
):
    """Weights and bias of one layer, before and after an inner step."""


def update(protocol, rule, state, x, y):
    """An inner step; of every layer, what it was and what it became."""
    new, trail = protocol.update(rule, state, x, y)
    for weight in (name for name in state.parameters if name.startswith("W")):
        bias = weight.replace("W", "b")
        layer(state.parameters[weight], new.parameters[weight], state.parameters[bias], new.parameters[bias])
    return new


@checked
def episode(
    xs: Float[Array, "steps b inputs"], ys: Float[Array, "steps b outputs"], x: Float[Array, "n inputs"], y: Float[Array, "n outputs"]
):
    """The fields of an `Episode`."""


@checked
def meta_loss(
    protocol: mplp.Protocol, rule: mplp.Rule, prior: dict, of: tasks.Episode
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    return meta.MetaLoss(hint=0.3)(protocol, rule, prior, of, jax.random.key(0))


@checked
def judged(task: object, network: object, rule: mplp.Rule | None, steps: Float[Array, " looks"]) -> dict[str, Float[Array, "7 looks"]]:
    return tasks.judge(task, network, rule, jax.random.key(0), runs=7)


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_an_inner_run(net, learner):
    protocol = mplp.Protocol(net, learner)
    inputs, outputs = net.node("x").op.units, net.node("y").op.units
    data = random_episode(inputs, outputs, one_hot=outputs > 1)
    episode(*data)
    state, rule = protocol.init(jax.random.key(0), data.batch), protocol.new_rule(jax.random.key(1))
    x, y = data.held_out
    predict(protocol, state, x, y), unit_losses(protocol, state, x, y), loss(protocol, state, x, y)
    update(protocol, rule, state, *data.at(0))
    meta_loss(protocol, rule, protocol.prior(jax.random.key(2)), data)


@pytest.mark.parametrize("sharing", ["none", "learners", "all", "kinds"])
def test_what_learners_answer(sharing):
    protocol = mplp.Protocol(NETS["classes"], Typed(message=3, hidden=2, widths=(4,)), sharing)
    data = random_episode(3, 4, one_hot=True)
    state = protocol.init(jax.random.key(0), data.batch)
    update(protocol, protocol.new_rule(jax.random.key(1)), state, *data.at(0))


@pytest.mark.parametrize(
    "task",
    [
        tasks.Sinusoids(steps=3, batch=4),
        tasks.Examples(jnp.ones((20, 1)), jnp.ones((20, 1)), steps=3, batch=4),
    ],
    ids=["sinusoids", "examples"],
)
def test_tasks_and_how_they_judge(task):
    episode(*task.episode(jax.random.key(0)))
    protocol = mplp.Protocol(mplp.mlp(1, 4, 1), LEARNERS["stateless"])
    judged(task, protocol, protocol.new_rule(jax.random.key(1)), jnp.zeros(task.steps + 1))


def test_sinusoids_judged_one_by_one():
    task, protocol = tasks.Sinusoids(steps=3, batch=4), mplp.Protocol(mplp.mlp(1, 4, 1), LEARNERS["stateless"])
    run = evaluate.sinusoid_runs(protocol, protocol.new_rule(jax.random.key(1)), task, jax.random.key(0), runs=7)

    @checked
    def of(
        predictions: Float[Array, "7 looks n 1"],
        train: Float[Array, "7 steps"],
        held_out: Float[Array, "7 looks"],
        steps: Float[Array, " steps"],
    ):
        """The fields of a `Run`."""

    of(*run, jnp.zeros(task.steps))
    assert run.eval_loss.shape == (7, task.steps + 1)


def test_statistics_of_what_is_read():
    norm, mean_zeroer = measure((jnp.ones((4, 2, 3)), jnp.arange(4.0)))
    assert norm.shape == mean_zeroer.shape == (2,)


@pytest.mark.parametrize("wrong", [jnp.ones((4, 1), int), jnp.ones((3, 1)), jnp.ones(4)], ids=["dtype", "examples", "axes"])
def test_the_check_itself_can_fail(wrong):
    with pytest.raises(TypeCheckError):
        loss(mplp.Protocol(NETS["regression"], LEARNERS["gru"]), State({}, {}), jnp.ones((4, 2)), wrong)
    with pytest.raises(TypeCheckError):
        answers(Thought(None, jnp.ones((5, 3)), jnp.ones((4, 3, 3))), (3, 5), batch=4)
