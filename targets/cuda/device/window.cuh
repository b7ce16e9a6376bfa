// Where the windows of a layer lie, for convolutions and pooling.
#pragma once
#include "requantize.cuh"

namespace octet {

struct Window {
  int images, height, width, out_height, out_width;
  int kernel_height, kernel_width, step_height, step_width, top, left, dilation_height, dilation_width;
};

OCTET_CONSTANT int out_pixels(Window P) { return P.images * P.out_height * P.out_width; }

}  // namespace octet
