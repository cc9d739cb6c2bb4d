"""Hours that a machine has left before its next fault, from its sensors."""
