"""The digest of the bundle that this service was built for; it lies beside the code, not in the bundle.

`pinned.json` lies beside the packages inside a Bento and holds the digest that the registry promoted. The
files of the model are believed only if they have it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vision.base.errors import BundleError

PINNED_NAME = "pinned.json"
BUNDLE_FOLDER = "bundle"
"""Folder of the bundle inside a model of BentoML's store, which adds a file of its own beside it."""

_HEX_DIGEST = r"^[0-9a-f]{64}$"


class PinnedModel(BaseModel):
    """Name, registry version and digest of the bundle, and the tag of its model in BentoML's store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    version: str = Field(min_length=1, max_length=64)
    digest: str = Field(pattern=_HEX_DIGEST)
    tag: str
    indexed: bool = Field(default=False, description="its index of known images needs faiss")


def read_pinned(path: Path) -> PinnedModel:
    """The pin in a file.

    Raises:
        BundleError: it is missing or malformed.
    """
    try:
        return PinnedModel.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read ({error.strerror}); expected the pin of a Bento. Serve a Bento that "
            "serving/runtime/bento.py built, not the checkout."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(
            f"{path} is no pin: {'.'.join(map(str, first['loc']))} {first['msg']}. Build the Bento again."
        ) from error
