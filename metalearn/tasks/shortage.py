"""Words for what has too few examples for episodes: what is left out, and what would fit."""

from metalearn.tasks.errors import amount


def fitting(fewest: int, shots: int, queries: int) -> str | None:
    """Options with which so few examples are enough: the same shots if it can be; None where
    nothing fits."""
    if fewest < 2:
        return None
    left = min(queries, fewest - shots if fewest > shots else fewest // 2)
    return f"--shots {min(shots, fewest - left)} --queries {left}"


def asked(shots: int, queries: int) -> str:
    """Such as "1 shot + 5 queries"."""
    return f"{amount(shots, 'shot')} + {amount(queries, 'query', 'queries')}"


def few_text(short: int, of: int, noun: str, plural: str, more: str = "") -> str:
    """Such as "1 of 40 classes is", "2 of 40 classes are"."""
    return (
        f"{short:,} of {of:,} {noun if of == 1 else plural} {more}{'is' if short == 1 else 'are'}"
    )
