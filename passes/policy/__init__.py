"""Which regions of a quantised network stay in float because int8 would be slower there."""
