from typing import Any

class ONNXGraphImporter:
    def __init__(
        self,
        shape_dict: dict[str, list[int]],
        dtype_dict: str | dict[str, str],
        keep_params_in_input: bool = ...,
        sanitize: bool = ...,
    ) -> None: ...
    def __getattr__(self, name: str) -> Any: ...

class onnx_input(list[Any]): ...

def _get_convert_map() -> dict[str, Any]: ...
