"""Every tile on a layer of several waves, whole and split, with a residual or a table behind it, by mma.sync and by
WMMA: bytes, and how long it takes."""

import json

import numpy as np
from carried import Case, Expected, Step
from launching import Loaded, Module
from tile_layer import KINDS, WIDENS, Layer, Size, tiles, title

from octet.targets.registry import find


def run(work) -> None:
    about = json.loads((work.folder / "tiles" / "tiles.json").read_text())
    spec, size = find(about["target"]), Size(**about["size"])
    layers = {kind: Layer(kind, size) for kind in (*KINDS, WIDENS)}
    for kind, layer in layers.items():
        if layer.digest() != about["digests"][kind]:
            raise RuntimeError("this NumPy makes other data from the seed than the one that prepared them")
    for name, made in tiles(spec, size).items():
        items = {title(*one): one for one in made if work.wanted(title(*one)) and title(*one) in about["functions"]}
        if not items:
            continue
        work.at(next(iter(items)))
        module = Module((work.folder / "tiles" / f"{name}.cubin").read_bytes())
        work.each(
            items,
            lambda one, module=module: _tried(
                module,
                layers[one[0]],
                one,
                spec,
                about,
                work.options.get("timed", True),
                work.options.get("launches", 20),
            ),
        )
        module.close()


def _tried(module, layer, one, spec, about, timed, launches):
    kind, tile = one
    loaded = Loaded(
        module, case(layer, tile, spec, about["functions"][title(*one)], np.array(about["checksums"][kind], np.uint32))
    )
    wrong = loaded.twice()
    found = {
        "tile": [
            tile.rows,
            tile.columns,
            tile.depth,
            tile.warp_rows,
            tile.warp_columns,
            tile.stages,
            tile.splits,
            tile.wmma,
        ],
        "kind": kind,
    }
    found |= {"error": wrong} if wrong else {"right": True}
    if timed:
        found["us"] = round(loaded.seconds(launches) * 1e6, 3)
        found["tops"] = round(2e-12 * layer.problem.macs / found["us"] * 1e6, 1)
    loaded.close()
    return found


def case(layer: Layer, tile, spec, function: str, checksums) -> Case:
    made = layer.kernel(tile, spec)
    kernel, (x, residual) = made.kernel, layer.operands()
    contents = [
        x,
        *made.constants,
        residual if layer.kind == "residual" else x,
        *([kernel.state] if kernel.state else []),
        layer.result.elements,
    ]
    step = Step(function, kernel.grid, kernel.block, kernel.shared, tuple((i, 0) for i in range(len(contents))))
    zeros = frozenset([5] if kernel.state else [])
    return Case(
        title(layer.kind, tile),
        (kernel.family,),
        (step,),
        tuple(contents),
        (Expected(len(contents) - 1, layer.result.elements, checksums=checksums),),
        zeros,
    )
