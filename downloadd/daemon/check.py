"""Check of the configuration without a start."""

from pathlib import Path

from downloadd.accounts.first_user import DOWNLOADS_REFUSED, find_first_user
from downloadd.accounts.named_users import find_unknown_users
from downloadd.accounts.user_file import read_users
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
    state_dir = Path(config.server.state_dir)
    first = find_first_user(state_dir)
    users = (*config.users, *read_users(state_dir), *(() if first is None else (first,)))
    absent = "none on this machine" if config.cluster.database else "none yet; the first start creates one"
    lines = [
        "The configuration is valid.",
        f"  storage root     {config.storage.root}",
        f"  state directory  {config.server.state_dir}",
        f"  downloads        {'enabled' if config.downloads.enabled else DOWNLOADS_REFUSED}",
        f"  users            {', '.join(user.id for user in users) or absent}",
        *(f"  {each.source}: {each}" for each in loaded.renamed),
        *(
            f"  {setting}: no user has the id {id} now"
            for setting, id in find_unknown_users(config, frozenset(user.id for user in users))
            if not config.cluster.database
        ),
    ]
    return "\n".join(lines)
