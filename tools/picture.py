"""Draws the README's picture: `python tools/picture.py` writes `book/_static/learning.gif` and one picture of it."""

from pathlib import Path

import jax

import mplp_lite as mplp
from mplp_lite import weights
from mplp_lite.draw import film

PICTURE = Path(__file__).resolve().parents[1] / "book" / "_static" / "learning.gif"


def main():
    """One inner run of the shipped rule, as a film."""
    protocol = mplp.Protocol(mplp.mlp(1, 20, 20, 1), mplp.GRU(message=8, hidden=15))
    rule = mplp.load_pretrained("sinusoid", protocol)
    episode = mplp.tasks.Sinusoids().evaluation_episode(jax.random.key(1))
    run, trails = film.record(protocol, rule, protocol.prior(jax.random.key(3)), episode)
    weights.write_atomically(PICTURE, film.film(protocol, run, trails, episode))
    weights.write_atomically(PICTURE.with_suffix(".png"), film.still(protocol, run, trails, episode))
    print(f"written to {PICTURE} and, not moving, beside it")


if __name__ == "__main__":
    main()
