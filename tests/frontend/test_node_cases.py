"""The node tests of ONNX itself: a few of each family, or every one with OCTET_NODE_CASES=all (some ten minutes)."""

import os
import re

import pytest
from node_cases import load_cases, run_case
from node_exemptions import REFUSED

ALL = os.environ.get("OCTET_NODE_CASES") == "all"
# Module of onnx.backend.test.case.node: importing one makes all its cases, and that of average pooling takes as long as
# all of these.
FEW = {
    "attention": (
        "attention_3d_gqa_causal attention_4d_with_past_and_present_qk_matmul attention_4d_attn_mask_bool "
        "attention_4d_softcap"
    ),
    "bernoulli": "bernoulli",
    "bitcast": "bitcast_2d_float32_to_int32 bitcast_int32_to_float32 bitcast_uint32_to_int32 bitcast_float64_to_int64",
    "bitshift": "bitshift_left_uint8",
    "clip": "clip_default_int8_inbounds",
    "col2im": "col2im_dilations",
    "compress": "compress_1",
    "convtranspose": "convtranspose_3d",
    "cumprod": "cumprod_2d_axis_1",
    "cumsum": "cumsum_1d_reverse",
    "deformconv": "deform_conv_with_mask_bias deform_conv_with_multiple_offset_groups",
    "det": "det_nd",
    "dft": "dft_inverse dft_irfft",
    "einsum": "einsum_batch_matmul",
    "eyelike": "eyelike_without_dtype eyelike_with_dtype eyelike_populate_off_main_diagonal",
    "gathernd": "gathernd_example_int32_batch_dim1",
    "gridsample": "gridsample_bilinear",
    "groupnormalization": "group_normalization_example",
    "hardmax": "hardmax_axis_1",
    "isinf": "isinf_positive",
    "isnan": "isnan",
    "layernormalization": "layer_normalization_4d_axis1",
    "lpnormalization": "l1normalization_axis_1",
    "lrn": "lrn",
    "lstm": "lstm_with_peepholes",
    "maxpool": "maxpool_3d_default maxpool_with_argmax_2d_precomputed_strides",
    "maxunpool": "maxunpool_export_with_output_shape",
    "mod": "mod_uint64",
    "nonmaxsuppression": "nonmaxsuppression_single_box",
    "nonzero": "nonzero_example",
    "onehot": "onehot_negative_indices",
    "pow": "pow_types_int64_int64 pow_types_int32_float32",
    "reducemax": "reduce_max_bool_inputs",
    "resize": (
        "resize_upsample_scales_linear resize_downsample_sizes_cubic_antialias "
        "resize_downsample_scales_linear_align_corners "
        "resize_tf_crop_and_resize_extrapolation_value"
    ),
    "reversesequence": "reversesequence_time",
    "rmsnormalization": "rms_normalization_2d_axis0 rms_normalization_4d_axis_negative_2",
    "roialign": "roialign_aligned_false",
    "rotaryembedding": "rotary_embedding rotary_embedding_3d_input",
    "scan": "scan_sum scan9_sum",
    "scatterelements": "scatter_elements_with_reduction_max scatter_elements_with_negative_indices",
    "scatternd": "scatternd_add scatternd",
    "softmax": "softmax_axis_0",
    "softmax_cross_entropy_loss": "sce_mean",
    "stft": "stft_with_window",
    "tensorscatter": "tensorscatter_circular",
    "topk": "top_k",
}
MODULES = None if ALL else tuple(FEW)
NAMES = sorted(load_cases()) if ALL else [f"test_{name}" for names in FEW.values() for name in names.split()]


@pytest.fixture(scope="module")
def cases():
    return load_cases(MODULES)


@pytest.mark.parametrize("name", NAMES)
def test_case(cases, name):
    """As ONNX says, or refused in one line for a reason that is known."""
    case = cases[name]
    outcome = run_case(case)
    reasons = [reason for pattern, reason in REFUSED if re.search(pattern, outcome.text)]
    if outcome.kind == "refused":
        assert reasons, f"refused, which is nowhere exempted: {outcome.text}"
    else:
        assert outcome.kind == "pass", outcome.text
