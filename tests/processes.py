"""Two real processes that train together (gloo, on a CPU)."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def together(script: str, folder: Path) -> list[Any]:
    """Run a Python script in two processes, with the words folder and rank; what each wrote into <folder>/<rank>.json.

    As two machines with one device each, so that this and not Lightning starts the processes: a trainer inside is made with
    devices=1, num_nodes=2, strategy="ddp".
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in range(2):
        own = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, NODE_RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE="2")
        environment = {**os.environ, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", script, str(folder), str(rank)]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=folder))
    messages = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], messages
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
