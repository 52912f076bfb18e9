"""What an embedding server is called in errors, and what is advised when it refuses."""

from dataclasses import dataclass

_ENTRY = "in the file that PHASEFLOW_EMBEDDERS names"


@dataclass(frozen=True, slots=True)
class ServerName:
    """A server that its operator has named: clients are told the name, never the address. ``key_variable`` holds its
    key; None: it gets none."""

    name: str
    key_variable: str | None = None

    def __str__(self) -> str:
        return f"the embedding server {self.name!r}"

    def advice(self, status: int) -> str:
        """What to do when it has answered with this status, and will again."""
        if status not in {401, 403}:
            return f"check its entry {_ENTRY}"
        if self.key_variable is None:
            return f"if it asks for a key, set api_key_env of its entry {_ENTRY}"
        return f"set {self.key_variable} to a key that it takes"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server whose settings hold its address, which is shown, without user, password and query."""

    address: str
    key_variable = "PHASEFLOW_EMBEDDING_API_KEY"

    def __str__(self) -> str:
        return self.address

    def advice(self, status: int) -> str:
        """What to do when it has answered with this status, and will again."""
        if status in {401, 403}:
            return (
                f"set {self.key_variable} to a key that it takes, and PHASEFLOW_EMBEDDING_URL (--embedding-url)"
                " to its address: the key goes nowhere else"
            )
        if status == 404:
            return "check base_url and the name of the model"
        if 300 <= status < 400:
            return "redirects are not followed: set base_url to the address it names"
        return "check base_url, the model and the account"
