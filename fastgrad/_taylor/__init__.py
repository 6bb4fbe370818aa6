"""What remainders of Taylor's formula say, and the result of a Taylor test."""
