"""Places of outputs that are padding, by the graph's own mask: they are nobody's answer, so no error counts there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from octet.targets.stored_array import SampleArrays

from ..lower.batch.masked import kept_places, padding_mask

if TYPE_CHECKING:
    from ..frontend.model import Model


@dataclass(frozen=True)
class Padding:
    """Which places of the outputs are padding, where errors do not count.

    mask: name of the input that is 0 for padding, "" where the graph has none. axes: {output: its axis of
    places}."""

    mask: str = ""
    axes: Mapping[str, int] = field(default_factory=dict)

    def kept(self, feed: SampleArrays, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """{output: bool, to be broadcast to it}: what is no padding. feed, outputs: of the same samples, which lie on
        first axes."""
        if not self.mask:
            return {}
        mask = np.asarray(feed[self.mask])
        return {
            name: kept_places(mask.reshape(len(mask), -1), axis, outputs[name].shape)
            for name, axis in self.axes.items()
        }


def padding_of(model: "Model") -> Padding:
    """The padding of a canonical fp32 Model's outputs. Only outputs and masks whose samples lie first are looked at."""
    found = padding_mask(model.module)
    first = {spec.name for spec in (*model.inputs, *model.outputs) if spec.batch_axis == 0}
    if found is None or found[0] not in first:
        return Padding()
    axes = {
        model.outputs[number].name: axis
        for number, axis in found[1].items()
        if axis and model.outputs[number].name in first
    }
    return Padding(found[0], axes) if axes else Padding()
