"""Programs as people write them, that know NumPy and nothing of this package."""
