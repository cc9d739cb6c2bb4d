"""A Supabase project's address and key: what cannot be either, and what may be quoted of what its server says."""

from ratchet.errors import BadConfiguration


def require(url: str, key: str) -> None:
    """Raises BadConfiguration for what cannot be a project's url or key; a url may hold the key and is not quoted."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadConfiguration("The secret's key is empty or no key; put the project's service_role key there.")
    if not url.startswith(("https://", "http://")) or "@" in url or key in url:
        raise BadConfiguration("The secret's url is no project's address; write it as https://<project>.supabase.co.")


def quoted(said: object, key: str) -> str:
    """What a server said, on one line of at most 200 characters and without the key."""
    return " ".join(str(said or "").replace(key, "***").split())[:200]
