"""Durable records of downloads, import operations and hook deliveries."""
