"""Networks that come quantised: integers with scales, read as float operators between dequantised values."""
