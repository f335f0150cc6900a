"""Named, counter-based random streams: every draw is a function of (seed, names, counters), never of what was drawn before.

So a run resumed from its counters draws what the uninterrupted run would have drawn, and no generator has to be saved.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *name: str | int) -> int:
    """Derives a 64-bit seed for the stream `name` of the job seed `seed`; different names give unrelated seeds.

    Parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ, and so do 1 and "1".
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (seed, *name):
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return int.from_bytes(digest.digest(), "little")


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """Makes a fresh NumPy generator (Philox) for the stream `name`; call it again with the same arguments for the same
    numbers."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *name)))
