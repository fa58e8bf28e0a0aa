"""The HTTP API of downloads: routes, schemas, guards and the server."""
