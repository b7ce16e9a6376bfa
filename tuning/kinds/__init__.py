"""What a kernel of a kind is measured with: operands, the referee's answer, how it is built, its design spaces."""
