"""The node tests of ONNX that Octet refuses: what the refusal says, and why. Two contradict ONNX's text."""

# Each entry is a regular expression that the refusal matches, and the reason.
REFUSED = (
    (
        r"element type (string|u?int[24]|float[48]\w+)",
        "networks are compiled from floats, integers of 8 to 64 bits, bool",
    ),
    (r"is no tensor \((sequence|optional)_type\)", "inputs and outputs of a deployed network are tensors"),
    (r"leaves axis \d+ open", "a case without elements, declared with an open axis: extents are positive"),
    (r"has shape \[0", "a case without elements: extents are positive"),
    (r"has no inputs", "nothing is computed at run time; constants are folded by ONNX's own evaluator"),
    (r"names no ONNX operator set|domain 'ai\.onnx\.(preview|ml)|domain 'ai\.onnx\.training", "not of ONNX's own set"),
    (r"(Range|ConstantOfShape|Unique) node .*run time", "its shape follows from data"),
    (r"(Loop|If|Scan|SequenceMap) node|Slices? node .*run time", "control flow that follows from data"),
    (r"(SoftmaxCrossEntropy|NegativeLogLikelihood)Loss node|training mode", "for training"),
    (r"(Bernoulli|RandomUniformLike|Multinomial) node", "a random answer"),
    (r"Dropout node .* at random", "for training"),
    (r"Reshape node .* run time", "the shape to take is a constant in networks"),
    (r"input 'initial' would have another shape", "Scan of opset 8 has a batch, which onnx's converter takes away"),
    (r"Ratio of Dropout", "not valid: ONNX's own inference refuses it"),
    (r"(ImageDecoder|TfIdfVectorizer|String\w+|RegexFullMatch) node", "files and texts are read in front of a network"),
    (
        r"(Quantize|Dequantize|QLinear)\w* node .* at run time|"
        r"holds integers of a run-time scale",
        "scales of a network are constants, its results floats or integers of a constant scale",
    ),
    (r"MelWeightMatrix node", "a constant in networks, which ONNX's own evaluator folds"),
    (r"Col2Im node .* makes 3-D images", "no network that was seen has volumes of patches"),
    (
        r"BitCast node .* reads the bits of (float32 as int64|int64 as float32)",
        "doubles are computed in float32, whose bits are others",
    ),
    (r"quantises to u?int16", "16 bits are no int8: refused by name"),
    (r"quantises a computed tensor with a scale per channel or block", "a computed tensor has one, or one per channel"),
    (r"Split node .* splits 1 into \[0, 0, 0\]", "a case without elements: extents are positive"),
    (r"operator topk has no kernel", "of uint64, which no network that was seen sorts"),
    (r"takes the maximum of a region's samples", "TVM takes it over other terms than ONNX"),
)

# The cases whose arrays contradict ONNX's text: there `length_resized` is the extent of the result, and these divide by
# the extent before it is rounded down. ONNX Runtime and PyTorch follow the text, and so must Octet.
AGAINST_THE_TEXT = {
    "test_resize_downsample_scales_linear_align_corners",
    "test_resize_downsample_scales_cubic_align_corners",
}
