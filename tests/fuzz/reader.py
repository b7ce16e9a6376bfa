"""What reads files that others made."""

from pathlib import Path


class Reader:
    """strategy(folder): bytes of spoilt files. read(path): what a user of such a file does."""

    def __init__(self, folder: Path):
        self.folder = folder
