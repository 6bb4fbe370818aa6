"""Large n: random directions and segments, and the search for the components that are wrong."""
