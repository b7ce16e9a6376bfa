"""The shapes of a network's inputs: what is said of them, and several at once."""
