"""One change of a stack at a time, and the journal of them."""
