"""Copy one Bento and its model out of a project's `state/service`, for the image of the service.

`python pick_bento.py STATE TARGET [NAME:VERSION]`: without a tag, the Bento that was deployed last. TARGET
becomes a home for BentoML with a link `bento` to the Bento. Standard library alone.
"""

import json
import shutil
import sys
from pathlib import Path


def pick_bento(state: Path, target: Path, tag: str = "") -> str:
    """Copy, and give the tag.

    Raises:
        SystemExit: nothing was deployed yet, or there is no such Bento; says what to type.
    """
    deployed = state / "deployed.json"
    if not tag and not deployed.is_file():
        sys.exit(f"{deployed} is not there: no model was deployed. Type: python run.py serve")
    tag = tag or str(json.loads(deployed.read_text())["bento"]["tag"])
    home, place = state / "bentoml", Path("bentos", *tag.split(":"))
    pinned = home / place / "src" / "pinned.json"
    if not pinned.is_file():
        found = ", ".join(
            f"{each.parent.name}:{each.name}" for each in home.glob("bentos/*/*") if each.is_dir()
        )
        sys.exit(
            f"There is no Bento {tag}. Found: {found or 'none'}. Name one with --build-arg BENTO=NAME:VERSION"
        )
    model = Path("models", *json.loads(pinned.read_text())["tag"].split(":"))
    for each in (place, model):
        shutil.copytree(home / each, target / each)
    for empty in ("envs", "tmp"):  # BentoML makes them at each start, where it may write
        (target / empty).mkdir()
    (target / "bento").symlink_to(place)
    return tag


if __name__ == "__main__":
    sys.stdout.write(f"{pick_bento(Path(sys.argv[1]), Path(sys.argv[2]), *filter(None, sys.argv[3:]))}\n")
