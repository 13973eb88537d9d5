"""The authors' meta-steps through their public classes: `authors.py FOLDER RECIPE`, run where tensorflow and tf-keras are.

FOLDER holds their package `mplp`; RECIPE is one of ours as JSON, whose sizes theirs get. Says one line when it is compiled, and then,
for each number read, takes as many meta-steps and says their seconds. Data are drawn beforehand, so that theirs need no pipeline.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tf_keras.src.engine import input_spec

ACTIVATIONS = {"relu": tf.nn.relu, "sigmoid": tf.sigmoid}


def network(recipe):
    """Their network for one of the two published recipes, which differ in loss, last layer and sharing."""
    from mplp import core, tf_layers

    stateful = {"stateful": True, "stateful_hidden_n": recipe.hidden}
    first, *widths = recipe.widths
    layers = [tf_layers.MPDense(widths[0], **stateful)]
    for width in widths[1:]:
        layers += [tf_layers.MPActivation(ACTIVATIONS[recipe.activation], **stateful), tf_layers.MPDense(width, **stateful)]
    shared = None
    if recipe.sharing == "learners":
        sizes = {"x_dim": 2 + recipe.message, "carry_n": 1 + recipe.message + recipe.hidden}
        shared = {"W_net": core.GRUBlock(**sizes), "b_net": core.GRUBlock(**sizes)}
    loss = tf_layers.MPL2Loss(**stateful)
    if recipe.loss == "cross_entropy":
        layers, loss = [*layers, tf_layers.MPSoftmax(**stateful)], tf_layers.MPCrossEntropyLoss(**stateful)
    found = tf_layers.MPNetwork(layers, loss)
    found.setup(in_dim=first, message_size=recipe.message, inner_batch_size=recipe.inner_batch, shared_params=shared)
    return found


def episodes(recipe):
    """Inputs and targets of one outer batch, to learn from and held out."""
    draw = np.random.default_rng(0)
    leads = (recipe.outer_batch, recipe.inner_steps, recipe.inner_batch), (recipe.outer_batch, recipe.held_out)
    xs = [draw.normal(size=(*lead, recipe.widths[0])) for lead in leads]
    units = recipe.widths[-1]
    ys = [np.sin(x) if units == 1 else np.eye(units)[draw.integers(units, size=x.shape[:-1])] for x in xs]
    return [tf.constant(values, tf.float32) for values in (xs[0], ys[0], xs[1], ys[1])]


def meta_step(recipe):
    """A function that takes one of their meta-steps, as the notebooks do, and gives the loss."""
    from mplp.training import TrainingRegime

    net, (xs, ys, x_held_out, y_held_out) = network(recipe), episodes(recipe)
    start = net.init(recipe.inner_batch)
    net.update_statistics([net.minibatch_init(xs[0, 0], ys[0, 0], recipe.inner_batch, pfw=start)[1]])
    regime = TrainingRegime(net, heldout_weight=1.0, hint_loss_ratio=recipe.hint, remember_loss_ratio=None)
    optimizer, trained = tf.keras.optimizers.Adam(recipe.learning_rate), net.get_trainable_weights()
    priors, steps = tf.stack([net.serialize_pfw(start)] * recipe.outer_batch), tf.constant(recipe.inner_steps)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss, _, _ = regime.batch_mp_loss(priors, xs, ys, x_held_out, y_held_out, steps)
        gradients = [gradient / (tf.norm(gradient) + 1e-8) for gradient in tape.gradient(loss, trained)]
        optimizer.apply_gradients(zip(gradients, trained, strict=True))
        return loss

    return step


def take(step, count):
    """Seconds of so many meta-steps, to the end of the last."""
    began = time.perf_counter()
    losses = [step() for _ in range(count)]
    if not np.isfinite([loss.numpy() for loss in losses]).all():
        raise FloatingPointError("A loss is not finite.")
    return time.perf_counter() - began


def main():
    """Compiles, and serves."""
    folder, recipe = sys.argv[1:]
    sys.path.insert(0, folder)
    answers, sys.stdout = sys.stdout, open(os.devnull, "w")  # their code prints
    input_spec.assert_input_compatibility = lambda *_: None  # newer Keras refuses the ranks that their sequential networks are given
    step = meta_step(SimpleNamespace(**json.loads(recipe)))
    about = {"compile_s": round(take(step, 1), 1), "versions": {name: version(name) for name in ("tensorflow", "tf-keras", "numpy")}}
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        print(take(step, int(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
