"""scikit-learn's digits: 1,797 handwritten digits of 8×8, that lie in the package itself.

Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits", UCI machine learning
repository; the test part, as scikit-learn ships it.
"""

import numpy as np

from metalearn.tasks.datasets import ImageDataset
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import Preprocess, resized

STRONGEST = 16  # ink, in the published levels


def load_digits(*, size: int = 28) -> ImageDataset:
    """The ten digits, about 180 images each: (1, size, size), ink 1 on paper 0.

    Published at 8×8 with levels 0…16, enlarged by Lanczos. Classes are named "0" to "9".
    Raises `DataError` where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as published
    except ImportError as error:
        raise DataError(
            "digits: needs scikit-learn, which is not installed here: pip install "
            "'metagrad[datasets]', or pip install scikit-learn"
        ) from error
    found = published()
    levels = np.rint(np.asarray(found.images) * (255 / STRONGEST)).astype(np.uint8)
    labels = np.asarray(found.target)
    order = np.argsort(labels, kind="stable")
    preprocess = Preprocess(size, 1, "light")
    images = resized(levels[order][:, None], preprocess)
    counts = np.bincount(labels, minlength=10).astype(np.int64)
    return ImageDataset("digits", images, tuple("0123456789"), counts, preprocess)
