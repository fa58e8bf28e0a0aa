"""Policy of permitted origins: pure rules for URL, host, address and redirect, and the connector that applies them."""
