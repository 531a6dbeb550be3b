"""Reports of gradient checks as files: text, JSON, and a page with a picture."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autograd_core.testing.reports import Entries, Report

SMALLEST = 1e-300

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: left; }
tr:nth-child(even) { background: #f4f4f4; } td:last-child { text-align: right; }
pre { background: #fff3f0; padding: 1rem; overflow: auto; } img { max-width: 100%; }
.right { color: #176d2f; } .wrong { color: #b3261e; }
"""


def write(report: Report, path: Path) -> None:
    """Write a report, in the format that the file's name ends in; see WRITERS."""
    path.write_text(WRITERS[path.suffix](report), encoding="utf-8")


def as_text(report: Report) -> str:
    """As it is printed."""
    return f"{report}\n{report.failure}\n" if report.failure else f"{report}\n"


def as_json(report: Report) -> str:
    """What was checked, and the entries that were compared."""
    found = report.as_dict()
    found["entries"] = [
        {
            "of": each.of,
            "shape": list(each.got.shape),
            "got": _listed(each.got),
            "expected": _listed(each.expected),
            "tolerance": _listed(each.allowed),
        }
        for each in report.entries
    ]
    return json.dumps(found, indent=1) + "\n"


def _listed(x: np.ndarray) -> list[float | None]:
    """Entries in order; those that are no numbers, which JSON does not have, are null."""
    return [float(y) if np.isfinite(y) else None for y in x.ravel()]


def as_html(report: Report) -> str:
    """A page that stands alone: the verdict, a picture of numeric against analytic entries, and all
    that was checked."""
    name = html.escape(report.name)
    verdict = "wrong" if report.failure else "right" if report.decided else "undecided"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><meta charset="utf-8"><title>{name}: {verdict}</title>',
        f"<style>{STYLE}</style>",
        f'<h1>{name}: <span class="{verdict}">{verdict}</span></h1>',
        f"<p>{report.decided} slopes compared; the worst error was {report.worst:.2g} of its "
        "tolerance.</p>",
    ]
    if report.failure:
        parts.append(f"<pre>{html.escape(report.failure)}</pre>")
    if report.entries:
        told = "Entries of derivatives at the arguments given: numeric against analytic"
        parts.append(f'<img alt="{told}" src="data:image/png;base64,{picture(report.entries)}">')
    parts.append("<h2>What was checked</h2><table><tr><th>derivative</th><th>error/tolerance</th>")
    parts += [
        f"<tr><td>{html.escape(what)}</td><td>{error:.2g}</td></tr>"
        for what, error in report.checked.items()
    ]
    parts.append("</table>")
    if report.notes:
        parts.append("<h2>What was not</h2><ul>")
        parts += [f"<li>{html.escape(note)}</li>" for note in report.notes]
        parts.append("</ul>")
    return "\n".join([*parts, "</html>", ""])


def picture(entries: list[Entries]) -> str:
    """Numeric against analytic entries, and each error over its tolerance: PNG in base64."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for each in entries:
        known = np.isfinite(each.expected) & np.isfinite(each.got)
        got, expected = each.got[known], each.expected[known]
        left.plot(expected, got, "o", alpha=0.6, label=each.of)
        error = np.abs(got - expected) / np.maximum(each.allowed[known], SMALLEST)
        right.plot(np.flatnonzero(known.ravel()), np.maximum(error, 1e-6), "o", alpha=0.6)
    left.axline((0, 0), slope=1, color="gray", linewidth=1, zorder=0)
    left.set(xlabel="numeric", ylabel="analytic", title="entries")
    left.legend(fontsize="small")
    right.axhline(1, color="#b3261e", linewidth=1)
    right.set(
        yscale="log", xlabel="entry", ylabel="error / tolerance", title="above the line: wrong"
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return base64.b64encode(buffer.getvalue()).decode()


WRITERS: dict[str, Callable[[Report], str]] = {
    ".txt": as_text,
    ".json": as_json,
    ".html": as_html,
}
"""By how a file's name ends."""
