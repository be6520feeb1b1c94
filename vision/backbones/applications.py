"""Networks that `keras.applications` builds, with the ImageNet weights that Keras serves for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from vision.backbones.declaration import Backbone, KerasWeights


def declare(
    name: str,
    function: str,
    file: str,
    *,
    early: str,
    cut: str | None,
    digests: Mapping[str, str] = MappingProxyType({}),
    widths: tuple[float, ...] = (1.0,),
    sizes: tuple[int, ...] = (224,),
    scale: Callable[[Any], Any] | None = None,
    adapt: Callable[[Any], None] | None = None,
    refused: Mapping[str, str] = MappingProxyType({}),
) -> Backbone:
    """A backbone of `keras.applications`.

    Args:
        name: as configurations call it.
        function: of `keras.applications`; with several widths it takes one as `alpha`.
        file: path of its no_top weights on Keras' server, with `{width}` and `{size}` where they stand in it.
        early: layer for pictures of another kind, see `Backbone`.
        cut: layer below what `partial` trains, see `Backbone`.
        digests: file name -> digest that Keras lists.
        widths: those that have weights.
        sizes: image sides in pixels that have weights of their own; all others take the largest one's.
        scale: input tensor in 0..255 -> what the function expects; None where it scales by itself.
        adapt: changes the loaded network to what the weights expect.
        refused: precisions that are not worth exporting, and why.
    """

    def build(image: Any, width: float) -> Any:
        import keras

        scaled = image if scale is None else scale(image)
        more = {} if widths == (1.0,) else {"alpha": width}
        make = getattr(keras.applications, function)
        return make(include_top=False, weights=None, input_tensor=scaled, **more).output

    def locate(width: float, image_size: int) -> tuple[str, str]:
        size = image_size if image_size in sizes else max(sizes)
        path = file.format(width=float(width), size=size)
        return path, path.rpartition("/")[2]

    return Backbone(
        name=name,
        build=build,
        channels="1 alone" if widths == (1.0,) else "its alpha",
        early=early,
        widths=widths,
        cut=cut,
        weights=KerasWeights(locate, adapt, digests),
        min_size=32,
        refused=refused,
    )
