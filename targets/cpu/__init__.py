"""What all CPU targets share: vectors as TIR expressions, and the backend."""
