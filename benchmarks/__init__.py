"""Benchmarks: one workload a file, the peers beside ours. See README.md for how to rerun them."""
