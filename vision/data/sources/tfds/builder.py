"""TensorFlow Datasets is met here alone, and imported only when a set is not yet written as files.

A set is prepared by its own builder, from files that the user has fetched where there is no network.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision.base.errors import SourceError
from vision.base.names import find_near
from vision.base.wording import join_words
from vision.config.sources.labelled import TfdsSource

logger = logging.getLogger(__name__)

_READ_AT_ONCE = 256

IMAGE_FOLDER = "image_folder"
"""The set that is a folder of the user: split/class/picture, which needs no preparation."""


@dataclass(frozen=True)
class NamedSet:
    """A prepared set, with the names of its features of the picture and of the class."""

    builder: Any
    image: str
    label: str
    class_names: tuple[str, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits."""
        return tuple(self.builder.info.splits)

    def read(self, split: str) -> Iterator[tuple[bytes, int]]:
        """The file of each picture and its class number, -1 if it has none; always in the same order.

        Raises:
            SourceError: it has no such split.
        """
        import tensorflow_datasets as tfds

        options = {"split": split, "decoders": {self.image: tfds.decode.SkipDecoding()}}
        try:
            rows = self._open(options)
        except ValueError as error:
            raise SourceError(
                f"{self.builder.info.full_name} has no split {split!r}. Expected some of: "
                f"{', '.join(self.splits)}. Correct dataset.splits."
            ) from error
        for row in _in_batches(rows):
            yield bytes(row[self.image]), int(row[self.label])

    def _open(self, options: dict[str, Any]) -> Any:
        """Rows by number where the files allow it, else one after the other."""
        if self.builder.name == IMAGE_FOLDER:
            return self._stream(options)
        try:
            return self.builder.as_data_source(**options)
        except NotImplementedError:  # an older format, which has no access by number
            return self._stream(options)

    def _stream(self, options: dict[str, Any]) -> Any:
        return self.builder.as_dataset(shuffle_files=False, **options).as_numpy_iterator()


def _in_batches(rows: Any) -> Iterator[Any]:
    if not hasattr(rows, "__getitems__"):
        yield from rows
        return
    for start in range(0, len(rows), _READ_AT_ONCE):
        yield from rows.__getitems__(list(range(start, min(start + _READ_AT_ONCE, len(rows)))))


def open_set(settings: TfdsSource) -> NamedSet:
    """The set that the settings name, prepared if it was not.

    Raises:
        SourceError: there is no such set; it is not on this machine and may not be downloaded; it could not
            be prepared; it does not give each picture one class.
    """
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    logging.getLogger("absl").setLevel(logging.ERROR)
    if settings.name == IMAGE_FOLDER:
        return _describe(_open_folder(settings.files))
    data_dir = settings.data_dir.expanduser() if settings.data_dir else None
    try:
        builder = tfds.builder(settings.name, data_dir=data_dir, try_gcs=False)
    except tfds.core.registered.DatasetNotFoundError as error:
        near = find_near(settings.name, tfds.list_builders(with_community_datasets=False))
        hint = f"; did you mean {near}?" if near else "."
        raise SourceError(
            f"TensorFlow Datasets has no set {settings.name!r}{hint} Expected a name of "
            "https://www.tensorflow.org/datasets/catalog. Correct dataset.name."
        ) from error
    except (ValueError, AssertionError) as error:  # no such version, no such variant
        raise SourceError(
            f"{settings.name}: {error} Expected a version and a variant that there is. Correct dataset.name."
        ) from error
    _check_features(builder)
    if not builder.is_prepared():
        _prepare(builder, settings)
    return _describe(builder)


def _open_folder(folder: Path | None) -> Any:
    """The builder of a folder."""
    import tensorflow_datasets as tfds

    root = folder.expanduser() if folder else None
    if root is None or not root.is_dir():
        raise SourceError(
            f"The set {IMAGE_FOLDER} is a folder of yours, and {root or 'none'} is no folder. Expected "
            "split/class/picture.jpg in it. Name it: dataset.files."
        )
    builder = tfds.ImageFolder(str(root))
    if not any(split.num_examples for split in builder.info.splits.values()):
        raise SourceError(
            f"{root}: the set {IMAGE_FOLDER} finds no picture in it. Expected split/class/picture.jpg, as in "
            "train/perch/1.jpg. Correct dataset.files; folders of classes alone are read by source: folder."
        )
    return builder


def _check_features(builder: Any) -> None:
    features = builder.info.features
    image, label = builder.info.supervised_keys or (None, None)
    kinds = {name: type(feature).__name__ for name, feature in features.items()}
    if kinds.get(str(image)) != "Image" or kinds.get(str(label)) != "ClassLabel":
        told = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise SourceError(
            f"{builder.info.full_name} is no set for image classification: it has {told}. Expected a picture "
            "and one class for it. Choose another set."
        )


def _describe(builder: Any) -> NamedSet:
    image, label = builder.info.supervised_keys
    return NamedSet(builder, image, label, tuple(builder.info.features[label].names))


def _prepare(builder: Any, settings: TfdsSource) -> None:
    import tensorflow_datasets as tfds

    if settings.files is not None:
        _take_files(builder, settings.files.expanduser())
    elif not settings.download:
        raise SourceError(_not_there(builder))
    logger.info("Preparing %s in %s", builder.info.full_name, builder.data_path)
    config = tfds.download.DownloadConfig(
        manual_dir=settings.files.expanduser() if settings.files else None, try_download_gcs=False
    )
    try:
        builder.download_and_prepare(download_config=config, file_format="array_record")
    except Exception as error:  # a builder is code of the set's makers: it may raise anything
        words = str(error).strip().splitlines() or [""]
        raise SourceError(
            f"{builder.info.full_name} could not be prepared: {type(error).__name__}: {words[0]}. Expected "
            "the files of its makers. Look at the network, at the disk, and at what dataset.files names."
        ) from error


def _not_there(builder: Any) -> str:
    files = [info.filename for info in _published(builder).values() if info.filename]
    return (
        f"{builder.info.full_name} is not on this machine: looked in {builder.data_path}. Expected a "
        "prepared set there, or leave to fetch it. With a network, type: --set dataset.download=true. "
        f"Without, bring {join_words(files) if files else 'its files'} and name their folder: "
        "--set dataset.files=FOLDER"
    )


def _published(builder: Any) -> dict[str, Any]:
    """Address -> name, size and SHA-256 of each file that the set's makers publish, as far as TFDS knows."""
    return builder.url_infos or {}


def _take_files(builder: Any, folder: Path) -> None:
    """Let the builder take the user's files: those that its makers publish, also packed anew."""
    from tensorflow_datasets.core.download import checksums

    if not folder.is_dir():
        raise SourceError(
            f"{folder}: there is no such folder. Expected published files. Correct dataset.files."
        )
    missing = [
        info.filename for info in _published(builder).values() if not (folder / info.filename).is_file()
    ]
    if missing:
        raise SourceError(
            f"{folder}: lacks {join_words(missing)} of {builder.info.full_name}. Expected every file that "
            "its makers publish. Bring them."
        )
    for url, published in list(_published(builder).items()):
        own = checksums.compute_url_info(folder / published.filename)
        if own.checksum != published.checksum:
            logger.warning(
                "%s differs from the file that is published (SHA-256 %s, not %s): packed anew, or another. "
                "It is taken because dataset.files names it.",
                *(folder / published.filename, own.checksum[:12], published.checksum[:12]),
            )
            builder.url_infos[url] = own
