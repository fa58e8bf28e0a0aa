"""WebSockets: calls and notifications over one connection, with limits on sockets and on bytes that wait."""
