"""Meta-learning on top of `autograd_core`: tasks, models, algorithms, training, command line."""
