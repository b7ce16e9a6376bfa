"""The node tests of ONNX itself: a few of each family, or every one with OCTET_NODE_CASES=all (some ten minutes)."""

import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from node_cases import load_cases, run_case  # noqa: E402
from node_exemptions import REFUSED, WRONG  # noqa: E402

ALL = os.environ.get("OCTET_NODE_CASES") == "all"
FEW = """
attention_3d_gqa_causal attention_4d_with_past_and_present_qk_matmul attention_4d_attn_mask_bool attention_4d_softcap averagepool_3d_default
bitshift_left_uint8 clip_default_int8_inbounds col2im_dilations cumprod_2d_axis_1 cumsum_1d_reverse einsum_batch_matmul gathernd_example_int32_batch_dim1 gridsample_bilinear
group_normalization_example isinf_positive isnan layer_normalization_4d_axis1 lrn lstm_with_peepholes maxpool_3d_default maxpool_with_argmax_2d_precomputed_strides
maxunpool_export_without_output_shape mod_mixed_sign_int8 nonmaxsuppression_single_box pow_types_int64_int64
pow_types_int32_float32 reduce_max_bool_inputs onehot_negative_indices resize_upsample_scales_linear resize_downsample_sizes_cubic_antialias
resize_tf_crop_and_resize_extrapolation_value tensorscatter_circular rms_normalization_2d_axis0 rms_normalization_4d_axis_negative_2
dft_inverse dft_irfft stft_with_window convtranspose_3d reversesequence_time l1normalization_axis_1
nonzero_example compress_1
roialign_aligned_false rotary_embedding rotary_embedding_3d_input scatter_elements_with_reduction_max scatter_elements_with_negative_indices
scatternd_add scatternd top_k softmax_axis_0 sce_mean bernoulli
""".split()  # fmt: skip
NAMES = sorted(load_cases()) if ALL else [f"test_{name}" for name in FEW]


@pytest.fixture(scope="module")
def cases():
    return load_cases()


@pytest.mark.parametrize("name", NAMES)
def test_case(cases, name):
    """As ONNX says, or refused in one line for a reason that is known."""
    case = cases[name]
    outcome = run_case(case)
    reasons = [reason for pattern, reason in REFUSED if re.search(pattern, outcome.text)]
    if outcome.kind == "refused":
        assert reasons, f"refused, which is nowhere exempted: {outcome.text}"
    else:
        assert outcome.kind == ("wrong" if case.name in WRONG else "pass"), outcome.text
