"""Sparse Jacobians: patterns, groups of columns that share no row, and the search for what lies outside a pattern."""
