"""Datasets and episode samplers.

A dataset (`omniglot`, `glyphs`, `folders`) holds images by class, a split (`splits`) says which
classes are for training and which for test, and a sampler (`episodes`, `sinusoid`) draws tasks
from its own classes. Everything that can be wrong with data is raised as `DataError`.
"""

from metalearn.tasks.cache import cache_dir
from metalearn.tasks.datasets import ImageDataset
from metalearn.tasks.download import Progress
from metalearn.tasks.episodes import EpisodeSampler, Task, TaskSampler
from metalearn.tasks.errors import DataError
from metalearn.tasks.folders import NewTask, load_folder, read_new_task
from metalearn.tasks.glyphs import load_glyphs
from metalearn.tasks.images import Preprocess
from metalearn.tasks.omniglot import load_omniglot, omniglot_alphabet_split, omniglot_split
from metalearn.tasks.sinusoid import SinusoidSampler
from metalearn.tasks.splits import Split, random_split

__all__ = [
    "DataError",
    "EpisodeSampler",
    "ImageDataset",
    "NewTask",
    "Preprocess",
    "Progress",
    "SinusoidSampler",
    "Split",
    "Task",
    "TaskSampler",
    "cache_dir",
    "load_folder",
    "load_glyphs",
    "load_omniglot",
    "omniglot_alphabet_split",
    "omniglot_split",
    "random_split",
    "read_new_task",
]
