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
    # pretrained: create_model(pretrained=)
    "models": {"attention", "layers", "models", "declared", "errors", "config", "preprocess", "pretrained", "spec"},
    "tasks": {"attention", "layers", "models", "tasks", "checked", "declared", "construct", "errors", "config", "spec"},
}


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
        assert known <= {"attention", "declared", "errors", "files", "preprocess", "spec"}, path


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
