"""What a browser is given: the page, its style sheet and its modules."""
