"""Other runtimes and quantizers, for comparison."""
