"""The judge: arithmetic on what was measured. Evaluates nothing and does not know Numba."""
