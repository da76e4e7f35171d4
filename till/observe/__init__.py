"""How a stack is; changes nothing."""
