"""The one ordered list of passes, by phase."""

from dataclasses import replace

from .canonicalize.convert_batch_norm import ConvertBatchNorm
from .canonicalize.convert_conv1d import ConvertConv1d
from .canonicalize.convert_transposed_conv import ConvertTransposedConv
from .canonicalize.fold_affine import FoldAffine
from .canonicalize.fold_affine_forward import FoldAffineForward
from .canonicalize.fold_affine_through_relu import FoldAffineThroughRelu
from .canonicalize.fold_constants import FoldConstants
from .canonicalize.fold_pad import FoldPad
from .rewriting.rule import notes_of
from .canonicalize.lift_rank3 import LiftRank3
from .canonicalize.merge_clips import MergeClips
from .canonicalize.move_scale_behind_product import MoveScaleBehindProduct
from .canonicalize.normalize_arithmetic import NormalizeArithmetic
from .canonicalize.normalize_dense import NormalizeDense
from .canonicalize.normalize_pooling import NormalizePooling
from .canonicalize.recognize_gelu import RecognizeGelu
from .canonicalize.recognize_hard import RecognizeHard
from .canonicalize.recognize_layer_norm import RecognizeLayerNorm
from .canonicalize.recognize_mish import RecognizeMish
from .canonicalize.recognize_silu import RecognizeSilu
from .canonicalize.recognize_unary import RecognizeUnary
from .canonicalize.remove_noops import RemoveNoops
from .frontend.model import Model

# fp32 graph as imported -> the vocabulary of canonicalize/__init__.py.
CANONICALIZE: list = [
    FoldConstants(),
    RemoveNoops(),
    NormalizeArithmetic(),
    RecognizeUnary(),
    # The functions are recognised before any of their constants can move into a neighbouring layer.
    RecognizeMish(),
    RecognizeSilu(),
    RecognizeGelu(),
    RecognizeLayerNorm(),
    MergeClips(),
    RecognizeHard(),
    ConvertBatchNorm(),
    ConvertConv1d(),
    LiftRank3(),
    RemoveNoops(),
    ConvertTransposedConv(),
    FoldPad(),
    MoveScaleBehindProduct(),
    FoldAffine(),
    FoldAffineThroughRelu(),
    FoldAffineForward(),
    # Terms that came forward meet the bias behind the layer, factors that came backward the layer itself.
    FoldAffine(),
    NormalizePooling(),
    NormalizeDense(),
    RemoveNoops(),
]


def canonicalize(model: Model) -> Model:
    """The network in canonical form; `notes` says what could not be brought there and why."""
    module = model.module
    for step in CANONICALIZE:
        module = step(module)
    return replace(model, module=module, notes=(*model.notes, *notes_of(module)))
