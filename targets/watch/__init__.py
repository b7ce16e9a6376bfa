"""What a compiled network notes while it answers: whether its sums agree, how many values were clipped."""
