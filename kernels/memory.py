"""How the process treats the memory of arrays that have been freed."""

import ctypes
import os
import sys

# Options of mallopt(3).
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep the memory of freed arrays for the next ones.

    By default glibc hands large blocks back to the system at once and fetches new ones, which the
    system has to fill with zeros first. A training step makes and frees the same large arrays
    again and again, and can spend half of its time on that. Kept, the process holds on to its
    largest need; ``METAGRAD_KEEP_MEMORY=0`` leaves the C library as it is.

    Returns:
        Whether the C library was told so: False where it is not glibc, or the user does not want
        it.
    """
    if os.environ.get("METAGRAD_KEEP_MEMORY", "1") == "0" or sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Blocks below the threshold come from the heap; old versions refuse one above 32 MiB.
    from_heap = mallopt(MMAP_THRESHOLD, LARGEST) or mallopt(MMAP_MAX, 0)
    return bool(from_heap and mallopt(TRIM_THRESHOLD, -1))
