"""From a graph to a program: what is computed together, where values lie, and in which order."""
