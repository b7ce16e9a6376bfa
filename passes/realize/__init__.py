"""The QDQ hub becomes an integer graph: operators between quantised tensors in integer arithmetic."""
