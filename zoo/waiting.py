"""How threads wait, which must be said before torch is loaded."""

import os


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait for each other, unless the user has said how (OMP_WAIT_POLICY).

    By default they spin: beside other work on the machine a small model's training then takes four times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
