"""The referee: the integer graph computed in NumPy, operator by operator, exactly as passes/ops.py says."""
