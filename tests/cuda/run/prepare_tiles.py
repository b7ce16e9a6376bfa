"""Modules of every tile, what the referee makes of their layer, and candidates for a round of tuning."""

import json
import shutil
from dataclasses import asdict

from carried import checksums
from tile_layer import KINDS, SMALL, WAVES, WIDENS, Layer, tiles, title

from octet.targets.cuda.compiling.source import source
from octet.targets.cuda.kernels.conv import Conv, Epilogue
from octet.targets.cuda.kernels.window import ROW
from octet.targets.cuda.workload import workload_of

_SMALL = ("64x64x64", "64x64x64-wmma32", "64x64x64-wgmma", "128x64x128-turns")
_MEMCHECK = (
    "256x128x64",
    "128x16x64",
    "32x64x128",
    "128x128x64-wmma32",
    "192x256x128-wgmma",
    "256x64x64-wgmma",
    "64x128x128-wgmma",
    "128x192x128-turns",
    "128x128x64-turns",
)
_RACECHECK = ("64x64x64", "64x64x64-wmma32")
_NCU = ("256x128x64", "128x64x64", "64x64x128", "192x256x128-wgmma", "128x192x128-turns")
_INT8 = Epilogue(False, -7, -128, 127, 0.0, 0.0, False, 0, 0.0)
_RESIDUAL = Epilogue(False, -7, -128, 127, 0.0, 0.0, True, 5, 0.013)
TRIALS = 8


def tiles_of(folder, spec, compiler, found, small) -> None:
    """tiles/*.cubin, and tiles.json: the functions' names and the checksums of the results."""
    size = SMALL if small else WAVES
    layers = {kind: Layer(kind, size) for kind in (*KINDS, WIDENS)}
    modules = {name: made for name, made in tiles(spec, size).items() if not small or name in _SMALL}
    functions, texts = {}, {}
    for name, made in modules.items():
        names = {}
        for kind, tile in made:
            kernel = layers[kind].kernel(tile, spec).kernel
            functions[title(kind, tile)] = names.setdefault(kernel, f"octet_{len(names)}_{kernel.family}")
        texts[name] = source(names)
    shutil.rmtree(folder / "tiles", ignore_errors=True)
    (folder / "tiles").mkdir()
    for name, code in zip(texts, compiler.cubins(list(texts.values()), spec.extra["code"]), strict=True):
        (folder / "tiles" / f"{name}.cubin").write_bytes(code)
    about = {"target": spec.name, "size": asdict(size), "functions": functions, "digests": {}, "checksums": {}}
    for kind, layer in layers.items():
        about["digests"][kind] = layer.digest()
        about["checksums"][kind] = checksums(layer.wanted().view("uint8")).tolist()
    (folder / "tiles" / "tiles.json").write_text(json.dumps(about))
    every = {name: [title(*one) for one in made] for name, made in modules.items()}
    found["memcheck"]["tiles"] = [item for name in _MEMCHECK for item in every.get(name, ())[:2]]
    found["racecheck"]["tiles"] = [item for name in _RACECHECK for item in every.get(name, ())[:2]]
    found["ncu"]["tiles"] = [every[name][0] for name in _NCU if name in every]


def workloads() -> list:
    """Layers that networks spend their time in: of ResNet-50 at batch 32 and 1, of BERT-base at batch 32."""
    found = []
    for images, height, channels, outputs, kernel, epilogue in (
        (32, 56, 64, 64, 3, _INT8),
        (32, 14, 256, 1024, 1, _RESIDUAL),
        (1, 14, 256, 256, 3, _INT8),
    ):
        problem = Conv(
            images,
            height,
            height,
            height,
            height,
            kernel,
            kernel,
            1,
            1,
            kernel // 2,
            kernel // 2,
            1,
            1,
            channels,
            outputs,
            1,
            channels,
            outputs,
            3,
        )
        found.append(workload_of(problem, epilogue))
    return [*found, workload_of(Conv(4096, *ROW, 768, 768, 1, 768, 768, 3), _INT8)]


def candidates_of(folder, spec, compiler, found, small) -> None:
    """candidates/: as `octet tune --export-candidates` writes them."""
    from octet.tuning.carry_export import export_candidates
    from octet.tuning.database import Database
    from octet.tuning.tasks import Task

    shutil.rmtree(folder / "candidates", ignore_errors=True)
    database = Database(str(folder / "records.db"))
    print(
        export_candidates(
            [Task(workload, 1) for workload in workloads()], spec, database, folder / "candidates", trials=TRIALS
        )
    )
    database.close()
    (folder / "records.db").unlink()
