"""How the error depends on epsilon: reading the curve, and its report."""
