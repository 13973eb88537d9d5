"""The film, the picture made of it, and the shipping of a rule: small ones, to the end."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

import picture
import ship
from mplp_lite import GRU, Protocol, mlp, recipes, tasks, weights
from mplp_lite.draw import film

PROTOCOL = Protocol(mlp(1, 2, 1), GRU(message=2, hidden=1, widths=(2,)))


@pytest.fixture(scope="module")
def recorded():
    """One inner run of two steps."""
    rule, prior = PROTOCOL.new_rule(jax.random.key(0)), PROTOCOL.prior(jax.random.key(1))
    episode = tasks.Sinusoids(steps=2, batch=3).evaluation_episode(jax.random.key(2))
    return rule, prior, episode, *film.record(PROTOCOL, rule, prior, episode)


def test_a_record_is_the_run_and_what_was_said_at_each_step(recorded):
    rule, prior, episode, run, trails = recorded
    state, update = PROTOCOL.begin(prior, 3), jax.jit(PROTOCOL.update)
    for step, (x, y, trail) in enumerate(zip(episode.xs, episode.ys, trails, strict=True), 1):
        state, told = update(rule, state, x, y)
        assert float(run.eval_loss[step]) == pytest.approx(float(PROTOCOL.loss(state, episode.x_held_out, episode.y_held_out)), rel=1e-5)
        for name in told:
            np.testing.assert_allclose(trail[name]["message"], told[name]["message"], atol=1e-6)


def test_a_film_shows_the_traveller_at_every_node(recorded, monkeypatch):
    _, _, episode, run, trails = recorded
    monkeypatch.setattr(film, "END", 2)
    with Image.open(io.BytesIO(film.film(PROTOCOL, run, trails[:1], episode, milliseconds=50))) as shown:
        assert shown.format == "GIF" and shown.info["duration"] == 50
        frames = [np.asarray(shown.seek(k) or shown.convert("L")) for k in range(shown.n_frames)]
    assert len({frame.tobytes() for frame in frames}) >= len(PROTOCOL.graph.nodes) - 1  # all but the target


def test_the_picture_is_the_film_of_the_shipped_rule(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(picture, "PICTURE", tmp_path / "learning.gif")
    monkeypatch.setattr(film, "film", lambda protocol, run, trails, episode: f"{len(trails)} {run.eval_loss[-1]:.4f}".encode())
    picture.main()
    steps, loss = (tmp_path / "learning.gif").read_text().split()
    assert int(steps) == 5 and float(loss) < 0.0209 / 10 and "learning.gif" in capsys.readouterr().out


def test_a_rule_is_shipped_with_its_card_and_its_curve(tmp_path, monkeypatch):
    monkeypatch.setattr(ship, "PRETRAINED", tmp_path)
    recipe = recipes.find("sinusoid").changed(["widths=1,1", "learner=stateless", "message=1"])
    rule, run = recipe.protocol.new_rule(jax.random.key(0)), tmp_path / "run"
    run.mkdir()
    weights.save(run / "rule", rule, {"recipe": recipe.as_dict(), "seed": 3}, recipe.protocol)
    (run / "curve.csv").write_text("step,loss\n10,0.5\n")
    path = ship.ship(run)
    assert path == tmp_path / "sinusoid.npz" and path.with_suffix(".csv").read_text() == "step,loss\n10,0.5\n"
    card = weights.load_card(path)
    assert (card["recipe"], card["seed"]) == (recipe.as_dict(), 3)
    jax.tree.map(np.testing.assert_array_equal, weights.load(path, recipe.protocol), rule)
