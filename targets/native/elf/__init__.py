"""Whether a shared object is what its headers say, before the loader believes them."""
