"""How every pass rewrites `main`: the identity of variables, and the walk that carries it."""
