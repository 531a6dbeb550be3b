"""Few-shot image completion: a task is an image, to be told from a few of its pixels.

Garnelo et al. 2018, "Conditional neural processes", section 4.2, and Zintgraf et al. 2019, "Fast
context adaptation via meta-learning", section 5.1: the input is a pixel's place, the target its
brightness or colour.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from metalearn.tasks.datasets import ImageDataset, to_float
from metalearn.tasks.episodes import Task
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import distinct, stream_key, uniforms
from metalearn.tasks.regression import SmallTasks


class CompletionSampler(SmallTasks):
    """K-shot regression tasks on images of a sampler's own classes, each image equally likely.

    x (K, 2) float32: row and column of a pixel, from 0 (top, left) to 1 (bottom, right); y (K, C)
    float32 in [0, 1]: its levels. The `shots` pixels of the support and the `queries` others are
    drawn without replacement; queries of `pixels − shots` judge the whole rest of the image.

    Raises `DataError` when the classes are unknown or none, or the images have too few pixels.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        classes: Sequence[str],
        shots: int,
        queries: int,
        seed: int,
        stream: str = "train",
    ):
        self.dataset, self.classes = dataset, tuple(sorted(set(classes)))
        self.shots, self.queries = shots, queries
        self.seed, self.stream = seed, stream
        self._key = stream_key(seed, stream)
        _, self._height, self._width = dataset.images.shape[1:]
        self.pixels = self._height * self._width
        if shots < 1 or queries < 1 or shots + queries > self.pixels:
            raise DataError(
                f"shots={shots}, queries={queries}; expected each to be at least 1, and together "
                f"at most the {self.pixels} pixels of an image"
            )
        chosen = dataset.indices_of(self.classes)
        if not len(chosen):
            raise DataError(f"dataset {dataset.name!r}: no {stream} classes; expected at least one")
        starts, counts = dataset.starts[chosen], dataset.counts[chosen]
        rows = [np.arange(a, a + n) for a, n in zip(starts, counts, strict=True)]
        self._rows = np.concatenate(rows)

    def images(self, iteration: int, tasks: Iterable[int]) -> np.ndarray:
        """(T,) int64: the row in the dataset of each task's image; the one `sample` uses."""
        return self._image(uniforms(self._key, iteration, tasks, 1))

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x (T, shots, 2) and y (T, shots, C), float32; queries alike."""
        uniform = uniforms(self._key, iteration, tasks, 1 + self.shots + self.queries)
        image = self._image(uniform[:, :1])
        row, column = np.divmod(distinct(uniform[:, 1:], self.pixels), self._width)
        y = to_float(self.dataset.images[image[:, None], :, row, column])
        x = np.stack([row / max(self._height - 1, 1), column / max(self._width - 1, 1)], axis=-1)
        x = x.astype(np.float32)
        return Task(
            support=(x[:, : self.shots], y[:, : self.shots]),
            query=(x[:, self.shots :], y[:, self.shots :]),
        )

    def _image(self, uniform: np.ndarray) -> np.ndarray:
        return self._rows[(uniform[:, 0] * len(self._rows)).astype(np.int64)]
