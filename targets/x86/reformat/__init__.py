"""From one layout to another, with quantize or dequantize on the way."""
