"""A package as a C library of its own: `octet export`. Programs that link it need neither Python nor this
repository."""
