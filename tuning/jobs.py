"""Built kernels as what targets/measure runs."""

from ..targets.cuda.backend import CudaBackend
from ..targets.measure.batch import Batch
from ..targets.measure.job import Candidate, Input, MeasuringTask, Output, Role, digest
from .builder import Built
from .cuda_builder import CudaBuilt
from .portable_case import CudaCase
from .spaces.registry import to_json


def candidate_of(built: CudaBuilt | Built, inputs: int) -> tuple[Candidate, dict[str, bytes]]:
    """The candidate, and its blobs by digest. inputs: number of operands that are made on the spot (of a shared
    library)."""
    schedule = to_json(built.family, built.schedule)
    if isinstance(built, Built):
        blobs = [built.library, built.constants.tobytes()]
        names = [digest(data) for data in blobs]
        given: list[tuple[Role, int]] = [("input", i) for i in range(inputs)]
        operands: tuple[tuple[Role, int], ...] = (("constant", 0), ("zero", built.arena_bytes), *given, ("output", 0))
        return Candidate(schedule, names[0], "octet_run", (names[1],), operands, built.copies), dict(zip(names, blobs))
    blobs = [built.code, *(array.tobytes() for array in built.constants)]
    names = [digest(data) for data in blobs]
    kernel = built.kernel
    made = Candidate(
        schedule,
        names[0],
        built.function,
        tuple(names[1:]),
        built.operands,
        1,
        kernel.grid,
        kernel.block,
        kernel.shared,
    )
    return made, dict(zip(names, blobs))


def task_of(
    workload, count: int, inputs: tuple[Input, ...], output: Output, built: list
) -> tuple[MeasuringTask, dict[str, bytes]]:
    """A task of these kernels, the default first, and the blobs of all."""
    made = [candidate_of(one, len(inputs)) for one in built]
    blobs = {name: data for _, part in made for name, data in part.items()}
    return MeasuringTask(
        workload.key,
        workload.name,
        count,
        workload.as_dict(),
        inputs,
        output,
        tuple(candidate for candidate, _ in made),
    ), blobs


def batch_with_default(case: CudaCase, built: list[CudaBuilt], rounds: int) -> Batch:
    """The default and its rivals, to be measured now."""
    name = built[0].function
    made = [candidate_of(one, len(case.made)) for one in built]
    blobs = {name: data for _, part in made for name, data in part.items()}
    return Batch(
        CudaBackend.kind,
        MeasuringTask("", name, 1, {}, case.made, case.output, tuple(candidate for candidate, _ in made)),
        blobs,
        rounds,
    )
