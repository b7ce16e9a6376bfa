"""Operators along one axis: softmax, normalisation, recurrent cells, order."""
