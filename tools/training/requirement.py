"""PyTorch, which only training needs."""

from ...targets.errors import OctetError


def require_torch(what: str) -> None:
    """Raises OctetError where PyTorch is not installed, which `what` needs."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise OctetError(f"{what} needs PyTorch; install it with pip install 'octet[train]'") from None
