"""Design spaces: one file per kernel family."""
