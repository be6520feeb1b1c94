"""Everything that the README and docs/ state, one after the other: `python -m benchmarks`.

On two idle cores: linear baselines on the reef 2 minutes; the main job over three seeds 20; monitoring 3; the
service 15, with a champion that it trains for itself, because those of the main job go with their folders;
real photographs some hours, last because they are not part of the project; their table is printed, and
docs/results.md is written by hand. What was written by hand into the other pages stays
(`benchmarks/pages.py`).
"""

from __future__ import annotations

import subprocess
import sys

PARTS = (
    ("benchmarks.reef_baselines",),
    ("benchmarks.fast_run", "--seeds", "601", "602", "603"),
    ("benchmarks.monitoring", "--train"),
    ("benchmarks.serving", "--train", "--output", "docs/serving_benchmarks.md"),
    ("benchmarks.truth",),
)


def main() -> None:
    """Run every part in a process of its own; stop at the first that fails."""
    for part in PARTS:
        print(f"--- python -m {' '.join(part)}", flush=True)
        subprocess.run([sys.executable, "-m", *part], check=True)


if __name__ == "__main__":
    main()
