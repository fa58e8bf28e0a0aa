"""Access to the RPC: tokens, and pages of other origins; guesses are delayed, a right token is never locked out."""
