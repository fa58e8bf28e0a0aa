"""Check of the configuration without a start."""

from downloadd.accounts.first_user import DOWNLOADS_REFUSED
from downloadd.daemon.process import ProcessOptions
from downloadd.daemon.tls import ServerTls
from downloadd.hooks.notification import check_notify_urls


def check(options: ProcessOptions) -> str:
    """Return a summary of the configuration and its certificate; change nothing. Blocks.

    Raises:
        StartupError: the configuration has mistakes, or the certificate or a URL of `notify` cannot be used.
    """
    loaded = options.read_config()
    config = loaded.config
    ServerTls.from_config(config.server)
    check_notify_urls(config.hooks)
    users = ", ".join(user.id for user in config.users) or "none in the configuration; the first start creates one"
    lines = [
        "The configuration is valid.",
        f"  storage root     {config.storage.root}",
        f"  state directory  {config.server.state_dir}",
        f"  downloads        {'enabled' if config.downloads.enabled else DOWNLOADS_REFUSED}",
        f"  users            {users}",
        *(f"  {each.source}: {each}" for each in loaded.renamed),
    ]
    return "\n".join(lines)
