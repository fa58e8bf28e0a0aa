"""The web page: its files and the endpoints that serve them."""
