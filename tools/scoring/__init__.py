"""Metrics of tasks: masks, detections, sequences, embeddings, correlations."""
