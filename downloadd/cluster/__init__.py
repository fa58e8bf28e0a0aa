"""This node among those of its database: it registers, sends heartbeats, and knows if it still holds its lease."""
