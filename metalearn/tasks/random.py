"""Random numbers addressed by (seed, stream, iteration, task), with nothing carried between calls.

Philox is a block cipher run on a counter (Salmon et al. 2011, "Parallel random numbers: as easy
as 1, 2, 3"): the seed and the stream make its key, the iteration and the task its counter. So
task t of iteration i is the same whatever was drawn before it, and however tasks are chunked or
spread over processes. Only Philox's raw bits are used, which NumPy keeps stable over versions.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.random import Philox

LARGEST_DECKS = 1 << 16  # cards laid out in `distinct`, where it need not
MOST_LOOKED_UP = 32


def stream_key(seed: int, stream: str) -> np.ndarray:
    """The 128-bit Philox key of a seed and a named stream, as (2,) uint64.

    Streams of one seed ("train", "test", …) and seeds of one stream are unrelated to each other.
    """
    digest = hashlib.sha256(f"{stream}:{int(seed)}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)


def uniforms(key: np.ndarray, iteration: int, tasks: Iterable[int], count: int) -> np.ndarray:
    """`count` numbers for each task of an iteration: (tasks, count) float64 in [0, 1).

    `key` comes from `stream_key`; iteration and tasks are integers in [0, 2⁶⁴).
    """
    # Setting the state of one generator costs a fifth of constructing one for each task.
    generator = Philox(key=key)
    state = generator.state
    counter = state["state"]["counter"]
    rows = []
    for task in tasks:
        # The low word counts the blocks within a task, so the high words never overlap.
        counter[:] = 0, task, iteration, 0
        generator.state = state
        rows.append(generator.random_raw(count))
    raw = np.array(rows, dtype=np.uint64).reshape(len(rows), count)
    return (raw >> np.uint64(11)) * 2.0**-53


def between(uniform: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Numbers of [0, 1) stretched to [low, high)."""
    low, high = bounds
    return low + (high - low) * uniform


def normals(uniform: np.ndarray) -> np.ndarray:
    """Standard normal numbers from an even count of uniform ones on the last axis (Box–Muller)."""
    half = uniform.shape[-1] // 2
    radius = np.sqrt(-2.0 * np.log1p(-uniform[..., :half]))
    angle = 2.0 * np.pi * uniform[..., half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def distinct(uniform: np.ndarray, sizes: np.ndarray | int) -> np.ndarray:
    """Row by row, an ordered draw without replacement: the first k cards of a shuffled deck.

    `uniform` is (rows, k) in [0, 1) and `sizes` the number of cards, one for all or (rows,), each
    at least k. Returns (rows, k) int64: row r holds distinct integers of [0, sizes[r]), every
    ordered choice equally likely (a Fisher–Yates shuffle stopped after k swaps). Of a deck with
    fewer than k cards, the first sizes[r] places are its shuffle and the others mean nothing.
    """
    rows, k = uniform.shape
    sizes = np.broadcast_to(np.asarray(sizes, dtype=np.int64), (rows,))
    # Past the end of a small deck nothing is left to swap with.
    left = np.maximum(sizes[:, None] - np.arange(k), 0)
    places = np.arange(k) + (uniform * left).astype(np.int64)
    largest = int(sizes.max(initial=k))
    # Both give the same cards: to lay out a deck costs its size, to look swaps up costs k².
    if k <= MOST_LOOKED_UP and rows * largest > LARGEST_DECKS:
        return _looked_up(places)
    row = np.arange(rows)
    deck = np.tile(np.arange(largest), (rows, 1))
    for i in range(k):
        j = places[:, i]
        deck[row, i], deck[row, j] = deck[row, j], deck[row, i]
    return deck[:, :k]


def _looked_up(places: np.ndarray) -> np.ndarray:
    """The cards after swapping card i with the one at places[:, i], for i = 0, 1, …: of a deck that
    is not laid out, but known by what was swapped where."""
    cards, moved = np.empty_like(places), np.empty_like(places)
    for i in range(places.shape[1]):
        card, here = places[:, i].copy(), np.full(len(places), i)
        for before in range(i):  # the last swap that put a card there counts
            where = places[:, before]
            np.copyto(card, moved[:, before], where=where == places[:, i])
            np.copyto(here, moved[:, before], where=where == i)
        cards[:, i], moved[:, i] = card, here
    return cards
