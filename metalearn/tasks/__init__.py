"""Datasets and episode samplers.

A dataset holds examples by class (`datasets`: images, or arrays of any shape), a split (`splits`)
says which classes are for training and which for test, and a sampler draws tasks from its own
classes. Everything that can be wrong with data is raised as `DataError`.

- datasets: `arrays` (in memory, .npz), `folders`, `glyphs`, `omniglot`, `idx` (Fashion-MNIST),
  `digits`, `published` (mini-ImageNet, CIFAR-FS, splits as folders), `tabular` (CSV)
- samplers: `episodes`, `variable` (ways and shots that vary), `domains`, `batches` (for training
  without episodes), `trajectories` (classes one after another); `sinusoid` and `fourier`
  (`regression`), `completion`, `tabular_episodes`
- `placing`: tasks made ahead by a thread, or on a device

**Every sampler's task is a function of (seed, stream, iteration, task)** through `random`: the same
whatever was drawn before, however tasks are chunked, on any number of workers.
"""

from metalearn.tasks.arrays import from_arrays, load_arrays
from metalearn.tasks.batches import ClassBatchSampler
from metalearn.tasks.cache import cache_dir
from metalearn.tasks.completion import CompletionSampler
from metalearn.tasks.datasets import ArrayDataset, Dataset, ImageDataset
from metalearn.tasks.digits import load_digits
from metalearn.tasks.domains import Domain, DomainBatches, DomainSampler, DomainSplit
from metalearn.tasks.download import Progress
from metalearn.tasks.episodes import EpisodeSampler, Task, TaskSampler
from metalearn.tasks.errors import DataError
from metalearn.tasks.family import FamilySampler, TaskFamily
from metalearn.tasks.folders import NewTask, load_folder, read_new_task
from metalearn.tasks.fourier import FourierSampler
from metalearn.tasks.glyphs import load_glyphs
from metalearn.tasks.idx import load_fashion_mnist, read_idx
from metalearn.tasks.images import Preprocess
from metalearn.tasks.omniglot import load_omniglot, omniglot_alphabet_split, omniglot_split
from metalearn.tasks.placing import OnDevice, Prefetched
from metalearn.tasks.published import (
    SplitDataset,
    load_cifar_fs,
    load_mini_imagenet,
    load_split_folders,
)
from metalearn.tasks.regression import FunctionSampler
from metalearn.tasks.sinusoid import SinusoidLineSampler, SinusoidSampler
from metalearn.tasks.splits import Split, random_split
from metalearn.tasks.table_features import TablePreprocess
from metalearn.tasks.tabular import Needs, NewTable, TabularDataset, load_tables, read_new_table
from metalearn.tasks.tabular_episodes import TabularSampler, tasks_with
from metalearn.tasks.trajectories import TrajectorySampler
from metalearn.tasks.variable import VariableEpisodeSampler

__all__ = [
    "ArrayDataset",
    "ClassBatchSampler",
    "CompletionSampler",
    "DataError",
    "Dataset",
    "Domain",
    "DomainBatches",
    "DomainSampler",
    "DomainSplit",
    "EpisodeSampler",
    "FamilySampler",
    "FourierSampler",
    "FunctionSampler",
    "ImageDataset",
    "Needs",
    "NewTable",
    "NewTask",
    "OnDevice",
    "Prefetched",
    "Preprocess",
    "Progress",
    "SinusoidLineSampler",
    "SinusoidSampler",
    "Split",
    "SplitDataset",
    "TablePreprocess",
    "TabularDataset",
    "TabularSampler",
    "Task",
    "TaskFamily",
    "TaskSampler",
    "TrajectorySampler",
    "VariableEpisodeSampler",
    "cache_dir",
    "from_arrays",
    "load_arrays",
    "load_cifar_fs",
    "load_digits",
    "load_fashion_mnist",
    "load_folder",
    "load_glyphs",
    "load_mini_imagenet",
    "load_omniglot",
    "load_split_folders",
    "load_tables",
    "omniglot_alphabet_split",
    "omniglot_split",
    "random_split",
    "read_idx",
    "read_new_table",
    "read_new_task",
    "tasks_with",
]
