"""From a model and samples to a package."""
