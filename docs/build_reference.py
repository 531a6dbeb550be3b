"""Write docs/reference/: a page for each public function, from its docstring.

    python docs/build_reference.py           # writes the pages
    python docs/build_reference.py --check   # exits with 1 where a page is not what it would write

A docstring has a summary, paragraphs, sections ("Args:") and, at its end, examples. These assume
`import autograd_core as ac` and `import numpy as np`: pages say so, and the test suite runs them.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the package that lies beside this file, whichever is installed

import autograd_core as ac  # noqa: E402

PAGES = ROOT / "docs" / "reference"
COMMAND = "python docs/build_reference.py"
SECTIONS = ("Args:", "Returns:", "Raises:", "Attributes:")
DECORATORS = ("custom_jvp", "custom_vjp", "jit")
"""Classes, but used as functions."""

NAMESPACES = {
    "": "The engine's functions: transforms, NumPy's operations, and the array API standard's.",
    "linalg": "Linear algebra, by the array API standard and NumPy's `linalg`.",
    "fft": "Fourier transforms, by the array API standard and NumPy's `fft`.",
    "special": "Special functions, by `scipy.special`.",
    "nn": "Layers, activation functions and losses: pure functions, in PyTorch's layouts.",
    "nn.init": "Initial values of parameters.",
    "optim": "Optimisers: pairs of pure functions, `init` and `update`, which differentiate too.",
    "optim.schedules": "Learning rates that change with the number of steps taken.",
    "random": "Random numbers that depend on a key alone.",
}
FAMILIES = {
    "Transforms": ("transforms", "custom", "reverse", "capture.control", "capture.jit", "debug"),
    "Implicit differentiation": ("implicit",),
    "Making tensors": ("ops.creation", "ops.placement", "dlpack", "device"),
    "Dtypes": ("dtypes",),
    "Arithmetic, comparison, rounding": ("ops.arithmetic", "ops.comparing"),
    "Exponentials and trigonometry": ("ops.elementary",),
    "Complex numbers": ("ops.complex",),
    "Special functions": ("ops.special", "ops.normalize"),
    "Reductions and scans": ("ops.reduce", "ops.statistics"),
    "Products and linear algebra": ("ops.products", "ops.contraction", "ops.linalg"),
    "Shapes": ("ops.structural", "ops.layout"),
    "Indexing and choosing": ("ops.index", "ops.selection"),
    "Sorting, searching, sets": ("ops.sorting", "ops.positions", "ops.sets"),
    "Samples of functions": ("ops.curves",),
    "Trees": ("tree",),
}
"""The modules of each family of `ac`, without `autograd_core.`"""

STANDARD = {
    "": """
        abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2
        atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift
        bitwise_xor broadcast_arrays broadcast_to can_cast ceil clip concat conj copysign cos cosh
        count_nonzero cumulative_prod cumulative_sum diff divide empty empty_like equal exp
        expand_dims expm1 eye finfo flip floor floor_divide from_dlpack full full_like greater
        greater_equal hypot iinfo imag isdtype isfinite isinf isnan less less_equal linspace log
        log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul
        matrix_transpose max maximum mean meshgrid min minimum moveaxis multiply negative nextafter
        nonzero not_equal ones ones_like permute_dims positive pow prod real reciprocal remainder
        repeat reshape result_type roll round searchsorted sign signbit sin sinh sort sqrt square
        squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu trunc
        unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
        zeros_like""",
    "linalg": """
        cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank
        matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot
        vector_norm""",
    "fft": """
        fft fftfreq fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftfreq
        rfftn""",
}
"""The functions of the array API standard 2024.12: `__all__` of its stubs."""


class Entry(NamedTuple):
    """A public function: its full name after `autograd_core.`, and itself."""

    name: str
    function: Callable

    @property
    def page(self) -> str:
        return f"{self.name}.md"

    @property
    def namespace(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def source(self) -> str:
        """The module that declares it: that of elementwise functions is told by their family."""
        for family in ac.ops.FAMILIES:
            if self.short in family.__all__ and getattr(family, self.short) is self.function:
                return package_of(self.function, family)
        return inspect.unwrap(self.function).__module__

    @property
    def text(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def summary(self) -> str:
        return " ".join(self.text.split("\n\n")[0].split())


def package_of(function: Callable, family: ModuleType) -> str:
    """Where a family is a package, the module in it."""
    module = function.__module__
    return module if module.startswith(family.__name__ + ".") else family.__name__


def entries() -> Iterator[Entry]:
    """Every public function, each namespace in alphabetical order."""
    for namespace in NAMESPACES:
        space = attrgetter(namespace)(ac) if namespace else ac
        for name in sorted(space.__all__):
            found = getattr(space, name)
            a_function = callable(found) and (not inspect.isclass(found) or name in DECORATORS)
            if a_function and not name.startswith("_"):
                yield Entry(f"{namespace}.{name}" if namespace else name, found)


# A page ---------------------------------------------------------------------------------------


def page_of(entry: Entry, names: dict[Callable, list[str]]) -> str:
    """The text of a page."""
    title = f"# `ac.{entry.name}{signature_of(entry.function)}`"
    body = linked("\n\n".join(formatted(entry.text)), entry, names)
    return "\n\n".join([title, body, "\n".join(facts_of(entry, names))]) + "\n"


def signature_of(function: Callable) -> str:
    """The parameters, without annotations: what they are is said in words."""
    signature = inspect.signature(function)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text = str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(?:class|function) '?([\w.]+)'?[^>]*>", r"\1", text)


def facts_of(entry: Entry, names: dict[Callable, list[str]]) -> Iterator[str]:
    """What is known of a function beside its docstring, as a list."""
    primitive = getattr(entry.function, "primitive", None)
    if primitive is not None and primitive.differentiable:
        yield "- Derivatives: of any order, in forward and reverse mode."
        taken = "taken, with the same derivative" if primitive.complex else "refused (`DtypeError`)"
        yield f"- Complex numbers: {taken}."
    elif primitive is not None:
        yield "- Derivatives: none flows."
    others = [f"[`ac.{name}`]({name}.md)" for name in names[entry.function] if name != entry.name]
    if others:
        yield f"- Also called {', '.join(others)}."
    if entry.short in STANDARD.get(entry.namespace, "").split():
        yield "- In the array API standard 2024.12."
    path = path_of(entry.source)
    yield f"- Source: [`{path}`](../../{path})."


def path_of(module: str) -> str:
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return str(path.relative_to(ROOT))


def formatted(text: str) -> Iterator[str]:
    """The paragraphs of a docstring as Markdown."""
    for block in re.split(r"\n\n+", text.strip()):
        if block.startswith(">>>"):
            yield f"```pycon\n{imports_of(block)}{block}\n\n```"
        elif block.startswith("    "):
            yield f"```py\n{textwrap.dedent(block)}\n```"
        elif block.split("\n")[0] in SECTIONS:
            yield "\n".join(section(block))
        else:
            yield escaped(block)


def imports_of(example: str) -> str:
    numpy = ">>> import numpy as np\n" if re.search(r"\bnp\.", example) else ""
    return f"{numpy}>>> import autograd_core as ac\n"


def escaped(text: str) -> str:
    """Text whose asterisks and angles mean what they say, but for what is in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*<\\])", r"\\\1", p) for p in parts)


def section(block: str) -> Iterator[str]:
    """A section of a docstring: a heading, and an entry in a list for each `name: text`."""
    heading, *lines = block.split("\n")
    yield f"**{heading.rstrip(':')}**\n"
    text = textwrap.dedent("\n".join(lines))
    if heading == "Returns:":
        yield escaped(text)
        return
    for line in text.split("\n"):
        name, _, rest = line.partition(": ")
        if line.startswith(" "):
            yield f"  {escaped(line.strip())}"
        else:
            yield f"- `{name}`: {escaped(rest)}"


def linked(text: str, entry: Entry, names: dict[Callable, list[str]]) -> str:
    """Text in which the names of other functions, where in backticks, lead to their pages."""
    known = {name for each in names.values() for name in each}
    own = {*names[entry.function], entry.short, *inspect.signature(entry.function).parameters}

    def link(found: re.Match) -> str:
        for name in (f"{entry.namespace}.{found[1]}", found[1]):
            if name in known and found[1] not in own:
                return f"[`{found[1]}`]({name}.md)"
        return found[0]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    pattern = r"(?<!\[)(?<!- )`([\w.]+)`"
    return "".join(p if p.startswith("```") else re.sub(pattern, link, p) for p in parts)


# All pages ------------------------------------------------------------------------------------


def index_of(found: list[Entry]) -> str:
    """The list of all functions, by namespace and family; other names of one are beside it."""
    lines = [
        "# Reference",
        "",
        "A page for each function, with an example that is run. Written from docstrings by",
        f"`{COMMAND}`: `help(ac.sin)` says the same.",
    ]
    for namespace, about in NAMESPACES.items():
        here = [entry for entry in found if entry.namespace == namespace]
        lines += ["", f"## `ac.{namespace}`" if namespace else "## `ac`", "", about]
        for family in FAMILIES if not namespace else [""]:
            lines += ["", *([f"### {family}", ""] if family else [])]
            lines += rows([e for e in here if not family or family_of(e) == family])
    return "\n".join(lines) + "\n"


def family_of(entry: Entry) -> str:
    module = entry.source.removeprefix("autograd_core.")
    for family, modules in FAMILIES.items():
        if any(module == each or module.startswith(each + ".") for each in modules):
            return family
    raise LookupError(f"{entry.name}: no family in docs/build_reference.py has {module}")


def rows(some: list[Entry]) -> Iterator[str]:
    together: dict[Callable, list[Entry]] = {}
    for entry in some:
        together.setdefault(entry.function, []).append(entry)
    for same in together.values():
        pages = ", ".join(f"[`{entry.name}`]({entry.page})" for entry in same)
        yield f"- {pages}: {escaped(same[0].summary)}"


def pages() -> dict[str, str]:
    """The text of every page, by the file's name."""
    found = list(entries())
    names: dict[Callable, list[str]] = {}
    for entry in found:
        names.setdefault(entry.function, []).append(entry.name)
    written = {entry.page: page_of(entry, names) for entry in found}
    return {"README.md": index_of(found), **written}


def stale_pages(wanted: dict[str, str]) -> list[str]:
    """The files in docs/reference/ that are not there, not up to date, or not wanted."""
    present = {path.name: path.read_text("utf-8") for path in PAGES.glob("*.md")}
    return sorted(name for name in wanted | present if wanted.get(name) != present.get(name))


def main(check: bool) -> int:
    wanted = pages()
    stale = stale_pages(wanted)
    if check:
        print("\n".join(f"docs/reference/{name} is not up to date: {COMMAND}" for name in stale))
        return bool(stale)
    PAGES.mkdir(exist_ok=True)
    for name in stale:
        if name in wanted:
            (PAGES / name).write_text(wanted[name], "utf-8")
        else:
            (PAGES / name).unlink()
    print(f"{len(wanted)} pages, {len(stale)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
