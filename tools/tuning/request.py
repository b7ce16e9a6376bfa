"""What `octet tune` is asked for: the options of the command."""

from dataclasses import dataclass

from ..building.given import Given


@dataclass(frozen=True)
class TuningRequest:
    """What the user asks of `octet tune`.

    model: an .onnx, with calibration samples, or a package. budget: a duration as the user wrote it. trials: most
    schedules to measure per kernel. tracker, key: of workers. None where the user did not give one."""

    model: str
    calib: str | None = None
    budget: str | None = None
    trials: int | None = None
    target: str | None = None
    given: Given = Given()
    threads: int | None = None
    tracker: str | None = None
    key: str | None = None
