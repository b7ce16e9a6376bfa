"""The whole way from import to lowering, as lists of passes.

    model.onnx -> [Import] -> CANONICALIZE -> [Annotate] -> (calibration) -> [InsertQDQ] -> ([ReleaseFloat], by policy)
                                           -> [CompleteWeights], for a network that comes quantised
               -> [QuantizeEmbeddings] -> [Realize] -> float_layers -> lowering (lower/cpu/stages.py), for each target
                   -> code

What depends on a recipe, on samples or on a target is a function that makes the list. All of it goes through `run` and
`apply` (running.py), so that it can be looked at; networks that are built on the side, for calibration and the search
of a recipe, are not."""

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import tvm

from ..targets.errors import OctetError
from .canonicalize.convert_batch_norm import ConvertBatchNorm
from .canonicalize.convert_conv1d import ConvertConv1d
from .canonicalize.depth_to_space.convert_transposed_conv import ConvertTransposedConv
from .canonicalize.depth_to_space.recognize_depth_to_space import RecognizeDepthToSpace
from .canonicalize.depth_to_space.sink_depth_to_space import SinkDepthToSpace
from .canonicalize.divide_behind_product import DivideBehindProduct, attends_to_many
from .canonicalize.drop_nan_guards import DropNanGuards
from .canonicalize.fold_affine import FoldAffine
from .canonicalize.fold_affine_forward import FoldAffineForward
from .canonicalize.fold_affine_through_relu import FoldAffineThroughRelu
from .canonicalize.fold_constants import FoldConstants
from .canonicalize.fold_pad import FoldPad
from .canonicalize.lift_rank3 import LiftRank3
from .canonicalize.merge_clips import MergeClips
from .canonicalize.move_scale_behind_product import MoveScaleBehindProduct
from .canonicalize.normalize_arithmetic import NormalizeArithmetic
from .canonicalize.normalize_dense import NormalizeDense
from .canonicalize.normalize_pooling import NormalizePooling
from .canonicalize.pixels.fold_pixels import FoldPixels
from .canonicalize.pixels.raise_transposes import RaiseTransposes
from .canonicalize.recognize_gelu import RecognizeGelu
from .canonicalize.recognize_hard import RecognizeHard
from .canonicalize.recognize_layer_norm import RecognizeLayerNorm
from .canonicalize.recognize_mish import RecognizeMish
from .canonicalize.recognize_rms_norm import RecognizeRmsNorm
from .canonicalize.recognize_silu import RecognizeSilu
from .canonicalize.recognize_softmax import RecognizeSoftmax
from .canonicalize.recognize_unary import RecognizeUnary
from .canonicalize.remove_noops import RemoveNoops
from .canonicalize.sink_transposes import SinkTransposes
from .frontend.model import Model
from .lower.cpu.stages import lowering
from .policy.quantize_embeddings import quantize_embeddings
from .realize.fuse_float import FuseFloat
from .realize.realize import Realized, realize
from .realize.use_bfloat16 import UseBfloat16
from .rewriting.rule import notes_of
from .running import NamedPass, Step, apply, pass_name, run_passes, unwatched

# These steps bring an fp32 graph, as imported, into the vocabulary of canonicalize/__init__.py.
CANONICALIZE: list[Step] = [
    FoldConstants(),
    RemoveNoops(),
    NormalizeArithmetic(),
    RecognizeUnary(),
    # The functions are recognised before any of their constants can move into a neighbouring layer.
    RecognizeMish(),
    RecognizeSilu(),
    RecognizeGelu(),
    RecognizeLayerNorm(),
    RecognizeRmsNorm(),
    RecognizeSoftmax(),
    DropNanGuards(),
    MergeClips(),
    RecognizeHard(),
    # What needs constants on the last axis (layer normalisation) is an operator by now, and keeps its transposes.
    SinkTransposes(),
    RemoveNoops(),
    RaiseTransposes(),
    ConvertBatchNorm(),
    ConvertConv1d(),
    LiftRank3(),
    RemoveNoops(),
    RecognizeDepthToSpace(),
    ConvertTransposedConv(),
    SinkDepthToSpace(),
    FoldPad(),
    FoldPixels(),
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
    module, *others = _all_shapes(CANONICALIZE, (model.module, *(other.module for other in model.others)))
    if any(map(attends_to_many, (module, *others))):
        module, *others = _all_shapes([DivideBehindProduct(least=1)], (module, *others))
    canonical = tuple(
        replace(other, module=made, notes=(*other.notes, *notes_of(made))) for other, made in zip(model.others, others)
    )
    return replace(model, module=module, notes=(*model.notes, *notes_of(module)), others=canonical)


def _all_shapes(passes: list[Step], modules: tuple[tvm.IRModule, ...]) -> list[tvm.IRModule]:
    """Every module after the passes, of which the first one's are the ones to look at."""
    first, *others = modules
    made = [run_passes(passes, first)]
    with unwatched():
        return made + [run_passes(passes, other) for other in others]


def float_layers(floats: str) -> list[Step]:
    """The passes for the layers in float of a canonical or realised network. floats: of the recipe; "bf16" or
    another."""
    return [FuseFloat(), UseBfloat16()] if floats == "bf16" else [FuseFloat()]


def to_integers(quantized: Any) -> tuple[Realized, tvm.IRModule]:
    """The QDQ hub of a `Quantized` as an integer graph with the report of its layers, and that graph with its float
    layers fused."""
    embedded = apply(
        NamedPass("QuantizeEmbeddings", lambda hub: quantize_embeddings(hub, quantized.model.comes_quantised)),
        quantized.module,
    )
    realized = apply(NamedPass("Realize", realize), embedded.module)
    layers = tuple(replace(layer, reason=embedded.kept.get(layer.name, layer.reason)) for layer in realized.layers)
    return replace(realized, layers=layers), run_passes(float_layers(quantized.recipe.floats), realized.module)


_QUANTIZE = [
    "Annotate",
    "InsertQDQ",
    "CompleteWeights",
    "ReleaseFloat",
]  # These passes are made where recipe, samples or policy are known, so only their names stand here.
_REALIZE = [
    "QuantizeEmbeddings",
    "Realize",
    *map(pass_name, float_layers("bf16")),
    "IntegerBoundary",
]  # IntegerBoundary runs only for callers that quantise.
_LOWER = list(map(pass_name, lowering(None, None, "")))
NAMES = tuple(
    dict.fromkeys(["Import", *map(pass_name, [*CANONICALIZE, DivideBehindProduct()]), *_QUANTIZE, *_REALIZE, *_LOWER])
)


def check_pass_name(name: str) -> None:
    """Raises OctetError for a name that no pass of the way has."""
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 3, 0.4) or NAMES
        raise OctetError(
            f"pass {name!r} is unknown: take {' or '.join(near) if near is not NAMES else 'one of ' + ', '.join(NAMES)}"
        )
