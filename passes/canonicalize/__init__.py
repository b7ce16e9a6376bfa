"""Rewrites of the imported fp32 graph into the small vocabulary that annotate, realize and lower know.

After `pipeline.canonicalize` a float32 graph holds these (x, y computed; anything else stayed because nothing here
knows it):

convolution       R.nn.conv2d, NCHW / OIHW, padding of 4, weight constant; 1-D networks run at H = 1; a transposed one
                  is R.nn.conv2d + octet.depth_to_space (attrs strides), in groups or dilated octet.interleave (attrs
                  strides, fill=0) + R.nn.conv2d
linear            R.matmul(x, const [K, N]); R.matmul(x, y)
bias              R.add(layer, const [1, O, 1, 1]) behind a convolution, R.add(layer, const [N]) behind a linear layer
arithmetic        R.add, R.multiply (a constant comes second: [] or, per channel on rank 4, [1, C, 1, 1]), R.subtract(x,
                  y), R.divide(x, y), R.maximum, R.minimum of two computed tensors
clipping          R.nn.relu, R.clip with bounds as floats; never two in a row
scalar functions  octet.unary, kinds in passes/unary.py; R.nn.prelu with constant slopes
pooling           R.nn.max_pool2d, R.nn.avg_pool2d, padding of 4, ceil_mode False; R.mean(x, [2, 3], keepdims=True) for
                  the global one
data movement     R.reshape, R.permute_dims, R.concat, R.split, R.strided_slice, R.nn.pad, R.tile, R.image.resize2d,
                  octet.depth_to_space
the rest          R.nn.softmax, R.nn.layer_norm, R.nn.rms_norm, R.argmax, R.mean/sum/max over other axes, R.take,
                  R.astype, R.where, ...: float

`main` has one dataflow block, whose last binding is the tuple of the outputs; a variable is named after its ONNX node.
"""
