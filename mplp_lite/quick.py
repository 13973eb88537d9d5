"""The one switch that shortens the book: `MPLP_QUICK=1` in the environment makes its loops short."""

import os


def steps(full: int, quick: int) -> int:
    """`full`, or `quick` where `MPLP_QUICK=1` asks for a quick pass; both still train.

    Raises:
        ValueError: if `MPLP_QUICK` is set to anything but 0 or 1.
    """
    switch = os.environ.get("MPLP_QUICK", "0")
    if switch not in ("0", "1", ""):
        raise ValueError(f"MPLP_QUICK={switch!r} is set; use 1 for short loops or 0 for full ones.")
    return quick if switch == "1" else full
