"""The project's own files that a module reaches: its import closure, read from syntax trees.

Imports inside functions are included, and nothing heavy is imported to learn it. What a step's cache key
covers and what a Bento holds are such closures.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def import_closure(
    modules: Collection[str], root: Path = ROOT, never_counted: Collection[str] = ()
) -> tuple[str, ...]:
    """Files of the project that importing and running modules can execute, sorted, relative to `root`.

    Followed are imports at any depth of the code, of modules and of packages on the way to them, also
    `from package import module`, relative ones, and `import_module("a.b")` with a literal name. Not followed
    are imports for type checkers and names that are computed.

    Args:
        modules: dotted names of where to begin.
        root: folder of the top packages.
        never_counted: modules and packages that are left out, with what only they reach.
    """
    reached: dict[str, Path] = {}
    waiting = [each for name in modules for each in _with_parents(name)]
    while waiting:
        name = waiting.pop()
        path = _module_path(name, root)
        left_out = any(name == each or name.startswith(f"{each}.") for each in never_counted)
        if name in reached or path is None or left_out:
            continue
        reached[name] = path
        waiting.extend(_imported_names(name, path, path.stat().st_mtime_ns))
    return tuple(sorted(path.relative_to(root).as_posix() for path in reached.values()))


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


@cache
def _module_path(name: str, root: Path) -> Path | None:
    """The file of one of the project's own modules; None for anything else, such as a function or numpy."""
    base = root.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


@cache
def _imported_names(name: str, path: Path, _changed: int) -> tuple[str, ...]:
    """Dotted names that a module may import, packages on the way included; attributes stand among them."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    source = path.read_bytes()
    tree = ast.parse(source)
    named = [dotted for node in _statements(tree) for dotted in _names_of(node, package)]
    if b"import_module" in source:
        named += [dotted for node in ast.walk(tree) for dotted in _literal_name(node)]
    return tuple(dict.fromkeys(each for dotted in named for each in _with_parents(dotted)))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement at any depth but the bodies of `if TYPE_CHECKING:`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        typing_only = isinstance(node, ast.If) and _is_for_type_checkers(node.test)
        for block in ("orelse",) if typing_only else ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, block, None)
            waiting.extend(inner if isinstance(inner, list) else [])


def _is_for_type_checkers(test: ast.expr) -> bool:
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def _names_of(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return _names_of_from(node, package) if isinstance(node, ast.ImportFrom) else []


def _literal_name(node: ast.AST) -> list[str]:
    """The name in `import_module("name")`; nothing for any other node."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return []
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    name = node.args[0].value
    return [name] if called == "import_module" and isinstance(name, str) else []


def _names_of_from(node: ast.ImportFrom, package: str) -> list[str]:
    base = node.module or ""
    if node.level:
        kept = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*kept, base] if base else kept)
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]
