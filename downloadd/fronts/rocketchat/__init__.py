"""The import API of Rocket.Chat, which its clients use unchanged."""
