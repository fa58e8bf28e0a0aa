"""A request comes in: who asks, what for, and what is answered."""
