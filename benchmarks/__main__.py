"""Everything that the README and docs/results.md state, one after the other: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys

PARTS = ("benchmarks.reef_baselines", "benchmarks.fast_run", "benchmarks.real_photographs")


def main() -> None:
    """Run every part in a process of its own; stop at the first that fails."""
    for part in PARTS:
        print(f"--- python -m {part}", flush=True)
        subprocess.run([sys.executable, "-m", part], check=True)


if __name__ == "__main__":
    main()
