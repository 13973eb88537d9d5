"""The authors' published vectors, and traces of their code."""
