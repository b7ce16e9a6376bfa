"""Element by element: arithmetic, tables, statistics."""
