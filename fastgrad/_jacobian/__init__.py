"""Jacobians entry by entry: differences by columns, noise by rows, closer looks, and what is reported of it."""
