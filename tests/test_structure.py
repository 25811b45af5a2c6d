"""The shape of the project: one core, arrows that point one way, files one can read, yamls that compose."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("zoo/**/*.py"), *ROOT.glob("datamodules/**/*.py"), ROOT / "train.py"])

#: The floors of the project, lowest first: a room imports its own files and those of lower floors, also inside functions.
FLOORS = (
    {"zoo", "zoo.errors"},
    {"zoo.packages"},
    {
        "zoo.declared",
        "zoo.files",
        "zoo.console",
        "zoo.construct",
        "zoo.graphs",
        "zoo.locks",
        "zoo.preprocess",
        "zoo.machine",
    },
    {"zoo.config", "zoo.spec", "zoo.text", "zoo.series"},
    {"zoo.checked"},
    {"zoo.catalog"},
    {"zoo.attention"},
    {"zoo.layers", "zoo.generation", "datamodules"},
    {"zoo.models"},
    {"zoo.adapters"},
    {"zoo.conf", "zoo.tasks", "zoo.inspect", "zoo.pretrained"},
    {"zoo.api", "zoo.callbacks"},
    {"zoo.training"},
    {"zoo.exports", "zoo.reports"},
    {"zoo.cli"},
    {"zoo.__main__", "train"},
)
#: What a room may import besides, or not, with the reason.
NEVER = {
    "zoo.attention": {
        "zoo.files",
        "zoo.construct",
        "zoo.config",
        "zoo.preprocess",
        "zoo.spec",
        "zoo.checked",
        "zoo.catalog",
        "zoo.text",
        "zoo.series",
    },
    "zoo.catalog": {"zoo.text", "zoo.series", "zoo.spec"},
    "zoo.text": {"zoo.packages", "zoo.console", "zoo.construct", "zoo.graphs", "zoo.preprocess", "zoo.machine"},
}
#: Files that import each other, each with what keeps it; a circle that is gone must leave this list.
CIRCLES: dict[frozenset[str], str] = {}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


def room(module: str) -> str:
    """zoo.models of zoo.models.graph.gat; datamodules of all that is in there."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "zoo" else 1])


def imported(path: Path) -> set[str]:
    """Modules of the project that a file imports, at its top or inside a function; not for type checkers alone."""
    tree = ast.parse(path.read_text())
    unseen = {
        below
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for each in node.body
        for below in ast.walk(each)
    }
    found = set()
    for node in (node for node in ast.walk(tree) if node not in unseen):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {whole if whole in MODULES else node.module for whole in names.values()}
    return (found & MODULES.keys()) - {module_of(path)}


IMPORTS = {module: imported(path) for module, path in MODULES.items()}


def circles(arrows: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of nodes in which each reaches each: of the reach of all nodes, the shared part."""
    reach = {}
    for start in arrows:
        seen, todo = set(), [start]
        while todo:
            new = arrows[todo.pop()] - seen
            seen |= new
            todo += new
        reach[start] = seen
    return {frozenset({a} | {b for b in reach[a] if a in reach[b]}) for a in arrows if a in reach[a]}


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == {frozenset("abc")}


def test_no_circle_of_files():
    """Imports inside functions count too: they hide a circle, and do not break it. Those for type checkers alone do not: in
    zoo/attention the hooks of patterns and scores take the call that holds them, so call.py, edges.py, patterns/ and scores.py
    name each other in annotations, and nothing of that runs."""
    assert circles(IMPORTS) == set(CIRCLES)


def test_every_room_has_a_floor():
    assert {room(module) for module in MODULES} == set().union(*FLOORS)


@pytest.mark.parametrize("module", MODULES)
def test_no_import_upwards(module):
    """attention <- layers <- models <- tasks <- train.py, and what lies between: nothing points the other way."""
    floor = next(i for i, rooms in enumerate(FLOORS) if room(module) in rooms)
    below = set().union(*FLOORS[:floor], {room(module)}) - NEVER.get(room(module), set())
    assert {room(name) for name in IMPORTS[module]} <= below


def test_data_modules_know_no_model():
    known = {room(name) for module in MODULES if room(module) == "datamodules" for name in IMPORTS[module]}
    assert not known & {"zoo.layers", "zoo.models", "zoo.tasks"}


def test_attention_is_computed_in_one_place():
    """No softmax over scores and no scaled_dot_product_attention outside zoo/attention."""
    forbidden = re.compile(r"scaled_dot_product_attention|softmax\((scores|logits|attn|e_|sim|dots)")
    outside = [p for p in SOURCES if "zoo/attention" not in p.as_posix()]
    assert not [p for p in outside if forbidden.search(p.read_text())]


def test_only_the_top_floor_knows_data_modules():
    """Commands and reports may; whatever else needs of them a graph's or an image's preparation finds it in zoo."""
    knowing = {room(name) for name, names in IMPORTS.items() if any(each.startswith("datamodules") for each in names)}
    assert knowing <= {"zoo.cli", "zoo.reports", "datamodules"}


#: what each room of datamodules may import of the others; all of them what lies beside base.py
ROOMS = {
    "": set(),
    "images": {"images"},
    "graphs": {"graphs"},
    "text": {"text"},
    "series": {"series"},
    "pairs": {"pairs"},
    "captions": {"captions", "images", "pairs"},  # pairs whose sources are images
}
OF_OLD = {"datamodules.augment"}  # a name that old configs have


def test_rooms_of_data_know_no_other():
    for module in (name for name in MODULES if name.startswith("datamodules") and name not in OF_OLD):
        inside = MODULES[module].relative_to(ROOT / "datamodules").parent.as_posix().strip(".")
        names = {name.split(".")[1] for name in IMPORTS[module] if name.startswith("datamodules.")}
        assert names & set(ROOMS) <= ROOMS[inside], module


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_can_be_read(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= (150 if path.name == "train.py" else 400)
    assert ast.get_docstring(ast.parse(path.read_text())), "a file says what it is for"


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_other_files_can_be_read_too(folder):
    long = {path: n for path in ROOT.glob(f"{folder}/**/*.py") if (n := len(path.read_text().splitlines())) > 400}
    assert not long, "split by idea"


def test_nothing_of_this_machine_stays():
    """No path of a machine and no registry's host in the project."""
    pattern = re.compile(r"/(wor[k]|roo[t]|farm)/[a-z.]|py[p]i\.org|python[h]osted|npm[j]s")
    texts = {".py", ".md", ".yaml", ".toml", ".txt", ".ipynb", ".json"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        skipped = any(p.startswith(".") or p in ("runs", "multirun") or p.endswith("egg-info") for p in parts)
        if path.is_file() and not skipped and path.suffix in texts:
            assert not pattern.search(path.read_text(errors="ignore")), path


def test_what_has_never_run_on_a_gpu_is_said_in_one_place():
    """docs/gpu.md names every file of tests that wait for a GPU, every recipe for one, every kernel that needs one."""
    said = (ROOT / "docs" / "gpu.md").read_text()
    waiting = [
        path for path in ROOT.glob("tests/**/test_*.py") if re.search(r"^@pytest\.mark\.gpu", path.read_text(), re.M)
    ]
    recipes = [path for path in ROOT.glob("conf/experiment/*.yaml") if "trainer=gpu" in path.read_text()]
    kernels = [path for path in ROOT.glob("zoo/attention/kernels/*.py") if "it runs on CUDA" in path.read_text()]
    assert waiting and recipes and kernels
    assert not [path.name for path in waiting if f"(../{path.relative_to(ROOT).as_posix()})" not in said]
    assert not [path.stem for path in (*recipes, *kernels) if f"{path.stem}`" not in said]
