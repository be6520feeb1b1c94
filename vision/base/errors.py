"""Every error that Taxon raises on purpose says what arrived, what was expected and what to do.

The words are `WHAT ARRIVED. Expected WHAT. WHAT TO DO.`, which the terminal shows as three lines. Every class
has an entry in docs/troubleshooting.md.

::

    TaxonError                      exit 1
    ├── ConfigError                 exit 2   the configuration is wrong
    ├── DataError                   exit 2   the images or labels are wrong
    │   ├── SourceError                      no images where images were expected
    │   ├── ImageError                       one file is not a usable image
    │   │   └── ImageFormatError             it is of a format that is not read, or no image at all
    │   └── TooFewImagesError                too few images or groups to go on
    ├── GateError                   exit 3   a gate refused
    │   ├── LeakError                        two splits share images or groups
    │   └── ToleranceError                   the exported graph strays from the trained model
    ├── ServiceError                exit 1   the service cannot be built, started or stopped
    ├── ExecutorError               exit 1   chunks of work cannot be done: no cluster, no living worker
    ├── TrainingError               exit 1   a network could not be built or trained
    ├── ExportError                 exit 1   a network could not be exported
    ├── BundleError                 exit 1   a bundle is incomplete, altered or too new
    ├── WindowError                 exit 1   a window of answers cannot be compared with the reference
    ├── StorageError                exit 1   a file could not be written or read (disk full, read-only)
    ├── LogError                    exit 1   the prediction log cannot be written or read
    └── RunLockedError              exit 4   another run is going in this folder
"""

import re
from typing import ClassVar


class TaxonError(Exception):
    """Root of all errors that Taxon raises on purpose."""

    exit_code: ClassVar[int] = 1

    @classmethod
    def entry(cls) -> str:
        """The anchor of its entry in docs/troubleshooting.md: `too-few-images` of TooFewImagesError."""
        words = re.findall(r"[A-Z][a-z]*", cls.__name__.removesuffix("Error"))
        return "-".join(words).lower()


class ConfigError(TaxonError):
    """The configuration is wrong: unknown key, value out of bounds, contradicting settings."""

    exit_code: ClassVar[int] = 2


class DataError(TaxonError):
    """The images or their labels are wrong."""

    exit_code: ClassVar[int] = 2


class SourceError(DataError):
    """A source has no images where images were expected."""


class ImageError(DataError):
    """One file is not a usable image: undecodable, empty, too large."""


class ImageFormatError(ImageError):
    """A file is of a format that is not read, or no image at all."""


class TooFewImagesError(DataError):
    """Too few images, classes or groups to go on."""


class GateError(TaxonError):
    """A gate refused; nothing is wrong with the program."""

    exit_code: ClassVar[int] = 3


class LeakError(GateError):
    """Two splits share images or groups."""


class ToleranceError(GateError):
    """The exported graph strays from the trained model by more than the tolerance."""


class ServiceError(TaxonError):
    """The service cannot be built, started or stopped, or does not become ready."""


class ExecutorError(TaxonError):
    """Chunks of work cannot be done: no scheduler, no workers, of another version, or all dead."""


class TrainingError(TaxonError):
    """A network could not be built or trained."""


class ExportError(TaxonError):
    """A network could not be exported."""


class BundleError(TaxonError):
    """A bundle is incomplete, altered, or of a newer version than this program."""


class WindowError(TaxonError):
    """A window of answers cannot be compared with the reference: of another model, or not numbers."""


class StorageError(TaxonError):
    """A file could not be written or read: no space, no permission, missing array."""


class LogError(TaxonError):
    """The prediction log cannot be written or read: locked, gone, full, damaged, or not ours."""


class RunLockedError(TaxonError):
    """Another run is going in this folder; the scheduler tries again."""

    exit_code: ClassVar[int] = 4
