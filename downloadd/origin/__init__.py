"""HTTP/1.1 client for origins: a request goes out, and a strictly parsed head and its content come back."""
