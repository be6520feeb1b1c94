"""Everything that a run leaves lies in three folders of the project: `state`, `data` and `runs`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vision.base.home import project_home


@dataclass(frozen=True)
class ProjectPaths:
    """Where the project keeps what.

    Attributes:
        root: the checkout: code, configs, requirements.txt.
        home: where `state`, `data` and `runs` lie; relative paths of state are taken from here.
        state: what Taxon itself needs again; may be deleted to start anew, champions included.
        zenml: ZenML's configuration, SQLite store and artifacts.
        images: decoded image stores, content addressed.
        pictures: drawn pictures of reports, content addressed.
        data: painted data sets, content addressed.
        runs: one folder a run: report, summary, and of a training what is taken away.
        lock: the file that the going run holds.
        scratch: temporary files of the going run; what a killed run left there the next one wipes.
    """

    root: Path
    home: Path
    state: Path
    zenml: Path
    images: Path
    pictures: Path
    data: Path
    runs: Path
    lock: Path
    scratch: Path

    @classmethod
    def of(cls, root: Path) -> ProjectPaths:
        """The folders of the checkout `root`; the variable TAXON_STATE moves all of them elsewhere.

        With TAXON_STATE=FOLDER, `state`, `data` and `runs` are folders of FOLDER, so that nothing is
        written into the checkout. Creates nothing.
        """
        root = root.resolve()
        home = project_home(root)
        state = home / "state"
        return cls(
            root=root,
            home=home,
            state=state,
            zenml=state / "zenml",
            images=state / "images",
            pictures=state / "pictures",
            data=home / "data",
            runs=home / "runs",
            lock=state / "lock",
            scratch=state / "scratch",
        )

    def relative(self, folder: Path) -> str:
        """A folder below `home` relative to it: what steps are given, so that a move changes no cache key."""
        return folder.relative_to(self.home).as_posix()
