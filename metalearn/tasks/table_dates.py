"""Dates in columns of tables: how they are written, and the days that they stand for."""

import datetime
import re

from metalearn.tasks.tables import MISSING, Table

ISO = "YYYY-MM-DD"
US, OTHER = "MM/DD/YYYY", "DD/MM/YYYY"
FORMS = (ISO, "DD.MM.YYYY", US, OTHER)
"""How a column's dates are written; a time, as 13:30, 13:30:15 or 1:30 PM, may follow."""

_FIELDS = {"YYYY": r"(?P<year>\d{4})", "MM": r"(?P<month>\d\d?)", "DD": r"(?P<day>\d\d?)"}
_TIME = r"(?:[T ](?P<hour>\d\d?)(?P<rest>:.+?)(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"


def _pattern(form: str) -> re.Pattern[str]:
    text = re.escape(form)
    for field, pattern in _FIELDS.items():
        text = text.replace(field, pattern)
    return re.compile(text + _TIME)


_PATTERNS = {form: _pattern(form) for form in FORMS}


def days_of(cell: str, form: str) -> float | None:
    """Days from 31 December of the year 0 to a date in a form, or in ISO 8601, which nobody takes
    for another; a time of day is a fraction, and one with a zone is brought to UTC. None of what is
    no such date."""
    found = _PATTERNS[form].fullmatch(cell) or _PATTERNS[ISO].fullmatch(cell)
    if found is None:
        return None
    try:
        day = datetime.date(*(int(found[field]) for field in ("year", "month", "day")))
        hour, rest = found["hour"] or "0", found["rest"] or ":00"
        clock = datetime.time.fromisoformat(_of_24(hour, found["half"]).zfill(2) + rest)
    except ValueError:
        return None
    seconds = 3600 * clock.hour + 60 * clock.minute + clock.second + clock.microsecond / 1e6
    zone = clock.utcoffset() or datetime.timedelta()
    return day.toordinal() + (seconds - zone.total_seconds()) / 86400


def _of_24(hour: str, half: str | None) -> str:
    """The hour of a day of 24, of one of a half of 12, before or after noon.

    Raises `ValueError` where a half has no such hour.
    """
    if half is None:
        return hour
    if not 1 <= int(hour) <= 12:
        raise ValueError(hour)
    return str(int(hour) % 12 + 12 * (half in "Pp"))


def forms_of(table: Table, column: str) -> tuple[str, ...]:
    """The forms in which most values of a column are dates: none, one, or both where no date tells
    which number is the month."""
    cells = [cell for cell in table.column(column) if cell not in MISSING]
    counts = {form: sum(days_of(cell, form) is not None for cell in cells) for form in FORMS}
    most = max(counts.values())
    if 2 * most <= len(cells):
        return ()
    best = tuple(form for form in FORMS if counts[form] == most)
    return best if best == (US, OTHER) else best[:1]
