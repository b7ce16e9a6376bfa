"""octet.softmax of rows, whose exponentials come from a table."""

from dataclasses import dataclass

from ..kernel import CudaKernel, blocks, literal


@dataclass(frozen=True)
class SoftmaxTable:
    """The parameters of the kernel in device/softmax_table.cuh, field by field."""

    rows: int
    columns: int
    stride: int
    levels: int
    shift: int
    zero_point: int


def softmax_table(problem: SoftmaxTable) -> CudaKernel:
    """The kernel of octet.softmax. Operands: data, table, result."""
    return CudaKernel(
        "softmax_table",
        "softmax_table.cuh",
        f"softmax_table<{literal(problem)}>",
        3,
        blocks(32 * problem.rows, 128),
        128,
    )
