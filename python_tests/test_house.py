"""The rooms of the package: who imports whom, where, and how long a piece may be.

Everything is read from the sources by ast, nothing is imported. The graph is of files: imports
inside functions and under TYPE_CHECKING count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "gtn_fast"

# Importing these says who is there to be asked; every other room's __init__ is a map alone.
SURFACES = (
    "",
    "cli",
    "experiments",
    "images",
    "learn",
    "manifolds",
    "metrics",
    "plots",
    "reference",
)
# Not needed to label, or slow to import: a function that needs one may import it by itself.
OPTIONAL = {
    *(
        "PIL",
        "cuvs",
        "faiss",
        "gudhi",
        "h5py",
        "matplotlib",
        "mlxtend",
        "networkx",
        "pandas",
        "pyarrow",
    ),
    *("safetensors", "scipy", "sklearn", "tensorboard", "threadpoolctl", "torch", "torchmetrics"),
    *("tqdm", "triton", "zarr"),
    "resource",  # of Python, but on Unix alone
}
# room: the rooms and modules that nothing in it may import
FORBIDDEN = {
    "backends": ("run", "api", "planning.planner"),
    "inputs": ("run",),
    "planning": ("run",),
}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 420, 70


@dataclass
class Module:
    """A source file of the package, as ast sees it."""

    name: str
    path: Path
    tree: ast.Module
    at_top: set[str] = field(default_factory=set)
    in_functions: dict[str, int] = field(default_factory=dict)  # name: line
    for_types: set[str] = field(default_factory=set)

    @property
    def imports(self) -> set[str]:
        return self.at_top | set(self.in_functions) | self.for_types


def read(folder: Path) -> dict[str, Module]:
    """All modules of the package in ``folder`` by dotted name, with what they import."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    for module in modules.values():
        note_imports(module, module.tree, modules, in_function=False, for_types=False)
    return modules


def note_imports(module, node, modules, *, in_function, for_types):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for name in imported(module, child, modules):
                if for_types:
                    module.for_types.add(name)
                elif in_function:
                    module.in_functions[name] = child.lineno
                else:
                    module.at_top.add(name)
        note_imports(
            module,
            child,
            modules,
            in_function=in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef),
            for_types=for_types
            or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)),
        )


def imported(module, node, modules) -> Iterator[str]:
    """What one statement imports: modules of the package by file, others by their first name."""
    if isinstance(node, ast.Import):
        wanted = [(each.name, None) for each in node.names]
    else:
        start = node.module or ""
        if node.level:
            own = module.name.split(".")
            is_package = module.path.name == "__init__.py"
            own = own[: len(own) - node.level + is_package]
            start = ".".join([*own, start] if start else own)
        wanted = [(start, each.name) for each in node.names]
    for start, name in wanted:
        if start.split(".")[0] not in modules:
            yield start.split(".")[0]
        elif f"{start}.{name}" in modules:
            yield f"{start}.{name}"
        else:
            yield start


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Some circle of the graph, its first name again at the end; empty if there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name] & graph.keys()):
            found = visit(other, [*way, name])
            if found:
                return found
        done.add(name)
        return []

    return next(filter(None, (visit(name, []) for name in sorted(graph))), [])


def heavy(modules: dict[str, Module]) -> set[str]:
    """The modules whose import imports an optional package, directly or through others."""
    found: set[str] = set()
    while True:
        more = {
            name
            for name, module in modules.items()
            if name not in found and module.at_top & (OPTIONAL | found)
        }
        if not more:
            return found
        found |= more


def local_imports_without_need(modules: dict[str, Module]) -> list[str]:
    allowed = OPTIONAL | heavy(modules)
    return [
        f"{name}:{line} imports {other}"
        for name, module in modules.items()
        for other, line in module.in_functions.items()
        if other not in allowed
    ]


def room(name: str) -> str:
    return name.partition(".")[2]


def inside(name: str, place: str) -> bool:
    """Whether a module (without the package's name) is this one, or in this room."""
    return name == place or name.startswith(f"{place}.")


def lines_below_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    start = (first.end_lineno or 0) + 1 if documented else first.lineno
    return (function.end_lineno or 0) - start + 1


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.fixture(scope="module")
def modules():
    return read(ROOT / PACKAGE)


# ------------------------------------------------------------------ the house


def test_no_import_circle(modules):
    found = circle({name: module.imports for name, module in modules.items()})
    assert not found, " -> ".join(found)


def test_only_surfaces_import_in_their_init(modules):
    surfaces = {f"{PACKAGE}.{name}".rstrip(".") for name in SURFACES}
    assert surfaces <= modules.keys()
    others = [
        module
        for module in modules.values()
        if module.path.name == "__init__.py" and module.name not in surfaces
    ]
    assert others
    assert {module.name: module.imports for module in others if module.imports} == {}


def test_a_function_imports_only_what_is_optional(modules):
    assert local_imports_without_need(modules) == []


def test_rooms_know_only_those_below(modules):
    wrong = [
        f"{name} imports {other}"
        for name, module in modules.items()
        for place, forbidden in FORBIDDEN.items()
        if inside(room(name), place)
        for other in module.imports
        if any(inside(room(other), each) for each in forbidden)
    ]
    assert wrong == []
    for place in (*FORBIDDEN, *(each for all_of in FORBIDDEN.values() for each in all_of)):
        assert f"{PACKAGE}.{place}" in modules, f"nothing is called {place}"


def test_nobody_below_imports_the_front_door(modules):
    """``import gtn_fast`` runs everything that its __init__ imports."""
    above = ("api", "cli", "__main__", "experiments", "tools")
    wrong = [
        name
        for name, module in modules.items()
        if PACKAGE in module.imports and not any(inside(room(name), each) for each in above)
    ]
    assert wrong == []


def test_modules_are_short(modules):
    long = {
        module.name: len(module.path.read_text(encoding="utf-8").splitlines())
        for module in modules.values()
    }
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_functions_are_short(modules):
    long = {
        f"{module.name}.{function.name}": lines_below_docstring(function)
        for module in modules.values()
        for function in functions(module)
    }
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


# ------------------------------------------------------------------ what the tests above would find


def made(folder: Path, files: dict[str, str]) -> dict[str, Module]:
    for name, text in files.items():
        path = folder / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read(folder / "pack")


@pytest.mark.parametrize(
    "back",
    [
        "import pack.a",
        "from pack import a",
        "from . import a",
        "from .a import x",
        "def f():\n    from pack.a import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack.a import x",
    ],
)
def test_a_circle_is_found(tmp_path, back):
    files = {"__init__.py": "", "a.py": "x = 1\nfrom pack.b import y", "b.py": "y = 1\n" + back}
    found = made(tmp_path, files)
    graph = {name: module.imports for name, module in found.items()}
    assert circle(graph) == ["pack.a", "pack.b", "pack.a"]
    graph["pack.b"].remove("pack.a")
    assert circle(graph) == []


def test_a_local_import_without_need_is_found(tmp_path):
    files = {
        "__init__.py": "",
        "heavy.py": "import torch.nn",
        "through.py": "from pack import heavy",
        "light.py": "import os",
        "user.py": "def f():\n    import torch\n    from pack import heavy, through\n"
        "class C:\n    def g(self):\n        from pack import light\n        import json",
    }
    found = made(tmp_path, files)
    assert heavy(found) == {"pack.heavy", "pack.through"}
    assert local_imports_without_need(found) == [
        "pack.user:6 imports pack.light",
        "pack.user:7 imports json",
    ]


def test_lines_of_a_function_are_counted_below_its_docstring():
    text = 'def f(a):\n    """One.\n\n    Two.\n    """\n    a += 1\n\n    return a\n'
    assert lines_below_docstring(ast.parse(text).body[0]) == 3
    assert lines_below_docstring(ast.parse("def f(a):\n    return a\n").body[0]) == 1
    assert lines_below_docstring(ast.parse('def f(a):\n    """One."""\n').body[0]) == 0
