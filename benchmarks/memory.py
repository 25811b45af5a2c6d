"""Peak resident memory of one call: each model in a process of its own, net of what the imports took."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BAR = 1.02
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
REPEATS = 2  # the smaller of two processes: pages that the allocator kept for its own reasons come and go


def measure(
    row: dict[str, Any], rounds: int | None = None, limit: float | None = None, device: str = "cpu", **sizes: int
) -> dict[str, Any]:
    """One row: megabytes of zoo and timm, and ratio = zoo / timm."""
    import torch

    question = {"threads": torch.get_num_threads(), "sizes": sizes, "device": device, **row}
    used = {side: in_process("benchmarks.memory", side=side, **question) for side in ("zoo", "timm")}
    ratio = used["zoo"] / used["timm"]
    return {**used, "ratio": ratio, "ok": ratio <= BAR}


def in_process(module: str, repeats: int = REPEATS, **question: Any) -> float:
    """The last number that `python -m module` prints, given the question as JSON; the least of several processes."""
    command = [sys.executable, "-m", module, json.dumps(question)]
    answers = []
    for _ in range(repeats):
        answer = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
        if answer.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{answer.stderr}")
        answers.append(float(answer.stdout.split()[-1]))
    return min(answers)


def peak(
    side: str,
    model: str,
    mode: str,
    dtype: str,
    batch: int,
    threads: int,
    sizes: dict[str, int],
    device: str = "cpu",
    **_: Any,
) -> float:
    """Megabytes by which building a model and two calls raise this process above its imports (on a GPU: the most that was
    allocated there). Same imports for both."""
    import psutil
    import timm
    import torch

    import zoo
    import zoo.models.vit  # on first use otherwise, and only on our side
    from benchmarks.contestants import CALLS, CLASSES, DTYPES

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x = torch.randn(batch, 3, *(2 * (sizes.get("img_size", 224),)))
    forget_highest()
    before = psutil.Process().memory_info().rss
    made = {"zoo": zoo, "timm": timm}[side].create_model(model, num_classes=CLASSES, **sizes)
    call = CALLS[mode](made.to(device), x.to(device), DTYPES[dtype])
    for _ in range(2):  # the second has the optimizer's state beside the activations
        call()
    return (torch.cuda.max_memory_allocated() if device != "cpu" else highest() - before) / 1e6


def forget_highest() -> None:
    """Let the high-water mark start anew, where the system can (Linux): importing has peaks of its own."""
    if CLEAR.exists():
        CLEAR.write_text("5")


def highest() -> int:
    """The most bytes this process had resident. Not ru_maxrss on Linux: a child inherits its parent's mark there."""
    if STATUS.exists():
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    print(peak(**json.loads(sys.argv[1])))
