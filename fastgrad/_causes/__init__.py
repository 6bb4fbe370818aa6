"""How a gradient is wrong, named from the numbers alone."""
