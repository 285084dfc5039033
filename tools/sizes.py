"""The size budgets of the house: how long modules and functions may be. It knows nothing of what they do.

Complexity is ruff's (C901, 10). Run it as ``python tools/sizes.py``; it prints what is over budget and by how much, and
exits 1, or prints one line of figures and exits 0.
"""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MODULE_LINES = 500
MEDIAN_LINES = 150
NINETIETH_LINES = 350
INIT_LINES = 40
FUNCTION_LINES = 80
PARAMETERS = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


def length(path: Path) -> int:
    """Lines of a file, blank ones and comments included: a reader scrolls past them all."""
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method in ``tree``, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def parameters(function: Function) -> int:
    """How many arguments a caller gives: ``self`` and ``cls`` are not among them."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    bound = 1 if names[:1] in (["self"], ["cls"]) else 0
    return len(names) - bound + len(given.kwonlyargs)


def is_command(function: Function) -> bool:
    """Whether Typer calls it: its parameters are the options of a command, one for each in the contract."""
    decorators = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    return any(isinstance(node, ast.Attribute) and node.attr in {"command", "callback"} for node in decorators)


def function_problems(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Functions of one module that are too long or take too much."""
    for function in functions(ast.parse(path.read_text(encoding="utf-8"))):
        place = f"{path.relative_to(root)}:{function.lineno}: {function.name}"
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES:
            yield f"{place} has {lines} lines, {FUNCTION_LINES} at most: split it where its comments do"
        if parameters(function) > PARAMETERS and not is_command(function):
            yield f"{place} takes {parameters(function)} parameters, {PARAMETERS} at most: name what belongs together"


def init_problems(path: Path, root: Path = ROOT) -> Iterator[str]:
    """A package's ``__init__`` names what it offers; it computes nothing."""
    place = path.relative_to(root)
    if length(path) > INIT_LINES:
        yield f"{place} has {length(path)} lines, {INIT_LINES} at most"
    harmless = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, harmless) or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)):
            yield f"{place}:{node.lineno}: logic in a package's __init__: move it to a module with a name"


def problems(folders: tuple[Path, ...]) -> list[str]:
    """What is over budget in the modules under ``folders``."""
    modules = sorted(path for folder in folders for path in folder.rglob("*.py"))
    found = [
        f"{path.relative_to(ROOT)} has {length(path)} lines, {MODULE_LINES} at most: two subjects, two modules"
        for path in modules
        if length(path) > MODULE_LINES
    ]
    for path in modules:
        found += function_problems(path)
        if path.name == "__init__.py":
            found += init_problems(path)
    return found


def spread(modules: list[Path]) -> tuple[int, int]:
    """Median and 90th percentile of the modules' lengths; ``__init__`` files, which are all short, are left out."""
    lengths = sorted(length(path) for path in modules if path.name != "__init__.py")
    return round(statistics.median(lengths)), lengths[min(len(lengths) - 1, int(len(lengths) * 0.9))]


def main() -> int:
    """Check the product, its tools and its tests; 0 when all is within budget."""
    product = ROOT / "src" / "tieline"
    found = problems((product, ROOT / "tools", ROOT / "bench"))
    found += [
        f"{path.relative_to(ROOT)} has {length(path)} lines, {MODULE_LINES} at most"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if length(path) > MODULE_LINES
    ]
    modules = sorted(product.rglob("*.py"))
    median, ninetieth = spread(modules)
    if median > MEDIAN_LINES:
        found.append(f"the median module has {median} lines, {MEDIAN_LINES} at most")
    if ninetieth > NINETIETH_LINES:
        found.append(f"the 90th percentile of modules is {ninetieth} lines, {NINETIETH_LINES} at most")
    for problem in found:
        print(problem)
    if not found:
        print(f"sizes: {len(modules)} modules, median {median} lines, 90th percentile {ninetieth}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
