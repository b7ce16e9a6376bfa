"""What a package's manifest.json says: its fields, what must hold among them, and what is written there of a
variant."""
