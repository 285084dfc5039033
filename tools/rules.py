"""House rules that no linter holds: who reads the environment, who catches everything, what names and words may be.

Run it as ``python tools/rules.py``; it prints each breach with its place and what to do, and exits 1, or exits 0.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ROOT / "src" / "tieline"

# The only reader of the environment; everybody else is handed values.
READS_ENVIRONMENT = {"settings/source.py"}

# Where an error that nobody foresaw is turned into an answer, a log line or an exit code. Anywhere else it must fly on.
CATCHES_ALL = {
    "cli/main.py",
    "dataplane/snapshot/calls.py",
    "dataplane/snapshot/compiler.py",
    "web/problems.py",
    "wire/listener.py",
}

# The grammar of URLs is core.urls. Those of databases are others; relative references are resolved by the library.
SPLITS_URLS = {"dataplane/attempt/target.py", "storage/engine.py"}
SPLITTERS = {"urlsplit", "urlparse"}

EMPTY_NAMES = re.compile(r"(?:^|_)(?:utils?|helpers?|commons?|misc|managers?|handlers?)(?:_|$)|^base_")
PRIVATE = re.compile(r"(?:^|\.)_(?!_)")
# Words that hide what happens; a docstring or comment says it in the field's own.
RIDDLES = re.compile(
    r"\b(?:knows? not|whoever ends first|nothing is left behind|at the first sight|can grow old|learn(?:t|ed) at"
    r"|without being told|light on purpose|comes too late|who is told|is heard here|is let go|its own matter)\b",
    re.IGNORECASE,
)
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|\bphase (?:2|two)\b", re.IGNORECASE)


def environment_reads(tree: ast.AST) -> Iterator[int]:
    """Lines that read the process's environment."""
    readers = {"environ", "environb", "getenv", "getenvb"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in readers:
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for name in node.names if name.name in readers)


def url_splitters(tree: ast.AST) -> Iterator[int]:
    """Lines that import a lenient reader of URLs, or use it by its module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "urllib.parse":
            yield from (node.lineno for name in node.names if name.name in SPLITTERS)
        elif isinstance(node, ast.Attribute) and node.attr in SPLITTERS:
            yield node.lineno


def private_parts(tree: ast.AST) -> Iterator[int]:
    """Lines that import what a library keeps for itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(name.name for name in node.names)]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            is_import = isinstance(node.func, ast.Attribute) and node.func.attr == "import_module"
            names = [str(node.args[0].value)] if is_import else []
        else:
            continue
        if any(PRIVATE.search(name) for name in names):
            yield node.lineno


def private_attributes(tree: ast.AST) -> Iterator[int]:
    """Lines that reach for a private attribute of a library's module; ``os._exit`` is documented."""
    foreign = {
        (name.asname or name.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
        if not name.name.startswith("tieline")
    }
    private = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and PRIVATE.match(node.attr))
    for node in private:
        if isinstance(node.value, ast.Name) and node.value.id in foreign and node.attr != "_exit":
            yield node.lineno


def catches_everything(caught: ast.expr | None) -> bool:
    """Whether an ``except`` names no error, or names the root of all of them."""
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(catches_everything(one) for one in caught.elts)
    return isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"}


def blanket_excepts(tree: ast.AST) -> Iterator[int]:
    """Lines of ``except`` that swallow any error; one that ends by raising again only cleans up, and is fine."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and catches_everything(node.type):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield node.lineno


def _lines(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines of a module that break a rule, and how."""
    rules: tuple[tuple[bool, Callable[[ast.AST], Iterator[int]], str], ...] = (
        (
            module not in READS_ENVIRONMENT,
            environment_reads,
            "reads the environment: take the value from settings as an argument",
        ),
        (
            module not in CATCHES_ALL,
            blanket_excepts,
            "catches every error: name the ones you can do something about",
        ),
        (
            module not in SPLITS_URLS and not module.startswith("cli/"),
            url_splitters,
            "reads URLs by the library's rules: use core.urls",
        ),
        (True, private_parts, "uses what a library keeps for itself: use what it offers"),
        (True, private_attributes, "uses what a library keeps for itself: use what it offers"),
    )
    for holds, breaches, what in rules:
        if holds:
            yield from ((line, what) for line in breaches(tree))


def classes_of_one_name(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Public classes that share a name: a reader who sees it must not have to guess which one is meant."""
    places: dict[str, list[str]] = {}
    for place, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(f"{place}:{node.lineno}")
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield f"{name} is {len(found)} classes ({', '.join(found)}): give each a name of its own"


def problems(path: Path, product: Path = PRODUCT) -> Iterator[str]:
    """Breaches in one module of the product, whose package is the folder ``product``."""
    module = path.relative_to(product).as_posix()
    place = f"src/tieline/{module}"
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    for line, what in _lines(module, tree):
        yield f"{place}:{line}: {what}"
    if EMPTY_NAMES.search(path.stem):
        yield f"{place}: the name says nothing: call the module after the noun it owns"
    if ast.get_docstring(tree) is None:
        yield f"{place}: no docstring: say what the module owns and what it does not know"
    for number, words in enumerate(text.splitlines(), 1):
        if riddle := RIDDLES.search(words):
            yield f"{place}:{number}: {riddle[0]!r} makes the reader guess: say who does what, and when"
        if UNFINISHED.search(words):
            yield f"{place}:{number}: unfinished: do it, or make it an issue"


def main() -> int:
    """Check every module of the product; 0 when no rule is broken."""
    modules = sorted(PRODUCT.rglob("*.py"))
    found = [problem for path in modules for problem in problems(path)]
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in modules}
    found += classes_of_one_name({place: tree for place, tree in trees.items() if "/sandbox/" not in place})
    for problem in found:
        print(problem)
    if not found:
        print(f"rules: {len(modules)} modules keep them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
