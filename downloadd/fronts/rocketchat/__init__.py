"""Import API of Rocket.Chat, for its unchanged clients: a translation to and from the import service."""
