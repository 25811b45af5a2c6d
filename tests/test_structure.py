"""The shape of the project: one core, arrows that point one way, files one can read, yamls that compose."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("zoo/**/*.py"), *ROOT.glob("datamodules/**/*.py"), ROOT / "train.py"])

#: what each package of zoo may import from the project
ARROWS = {
    "attention": {"attention", "declared", "errors"},
    "layers": {"attention", "layers", "declared", "errors"},
    "models": {"attention", "layers", "models", "declared", "errors", "config", "preprocess", "spec"},
    # checked and the four after it: load_from_checkpoint
    "tasks": {
        "attention", "layers", "models", "tasks", "checked", "construct", "declared", "packages", "config", "errors", "spec",
    },
}  # fmt: skip


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_attention_is_computed_in_one_place():
    """No softmax over scores and no scaled_dot_product_attention outside zoo/attention."""
    forbidden = re.compile(r"scaled_dot_product_attention|softmax\((scores|logits|attn|e_|sim|dots)")
    outside = [p for p in SOURCES if "zoo/attention" not in p.as_posix()]
    assert not [p for p in outside if forbidden.search(p.read_text())]


@pytest.mark.parametrize("package", ARROWS)
def test_arrows_point_one_way(package):
    for path in (ROOT / "zoo" / package).rglob("*.py"):
        parts = {name.split(".")[1] for name in imports(path) if name.startswith("zoo.")}
        assert parts <= ARROWS[package] | {"ZooError", "build"}, path
        assert not any(name.startswith("datamodules") for name in imports(path)), path


def test_data_modules_know_no_model():
    for path in (ROOT / "datamodules").rglob("*.py"):
        known = {name.split(".")[1] for name in imports(path) if name.startswith("zoo.")}
        assert known <= {"attention", "declared", "errors", "files", "graphs", "preprocess", "spec"}, path


def test_only_the_top_floor_knows_data_modules():
    """Commands and reports may; whatever else needs of them a graph's or an image's preparation finds it in zoo."""
    knowing = {p.parts[1] for p in (q.relative_to(ROOT) for q in SOURCES if q.parts[-1] != "train.py") if p.parts[0] == "zoo"
               and any(name.startswith("datamodules") for name in imports(ROOT / p))}  # fmt: skip
    assert knowing <= {"cli", "reports"}


#: what each room of datamodules may import of the others; all of them what lies beside base.py
ROOMS = {"": set(), "images": {"images"}, "graphs": {"graphs"}}
OF_OLD = {"datamodules/augment.py"}  # a name that old configs have


@pytest.mark.parametrize(
    "path", sorted((ROOT / "datamodules").rglob("*.py")), ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_rooms_of_data_know_no_other(path):
    room = path.relative_to(ROOT / "datamodules").parent.as_posix().strip(".")
    names = {name.split(".")[1] for name in imports(path) if name.startswith("datamodules.")}
    assert names & set(ROOMS) <= ROOMS[room] or path.relative_to(ROOT).as_posix() in OF_OLD


def test_no_circle_of_files_in_datamodules():
    """Imports inside functions count too."""
    assert not circle(ROOT / "datamodules")


def circle(package: Path) -> list[str]:
    """Names of modules of which each imports the next, the last one the first; empty where there is no circle."""
    files = {}
    for path in package.rglob("*.py"):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        files[name] = path

    def module_of(name: str) -> str | None:
        return name if name in files else module_of(name.rpartition(".")[0]) if "." in name else None

    after = {name: {module_of(found) for found in imports(path)} - {None, name} for name, path in files.items()}
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name not in done:
            for other in sorted(after[name]):
                if found := walk(other, [*way, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(after) if (found := walk(name, []))), [])


def test_a_circle_is_found(tmp_path):
    package = tmp_path / "p"
    package.mkdir()
    (package / "a.py").write_text("from p.b import x")
    (package / "b.py").write_text("def f():\n    from p import c")
    (package / "c.py").write_text("")
    assert not circle(package)
    (package / "c.py").write_text("import p.a")
    assert circle(package) == ["p.a", "p.b", "p.c"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_can_be_read(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= (150 if path.name == "train.py" else 400)
    assert ast.get_docstring(ast.parse(path.read_text())), "a file says what it is for"


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
