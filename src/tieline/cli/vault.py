"""``tieline vault``: the state of the place where credentials live encrypted. Works on the store, without a server."""

from tieline.cli import output
from tieline.cli.options import Json, noun, with_settings
from tieline.settings.reading import serve_settings

vault = noun("vault", "The vault: where credentials live encrypted.")


@vault.command()
@with_settings(("data_dir", "database_url", "root_key"))
def status(json: Json = False, **given: str | list[str] | None) -> None:
    """Show which root key opens the vault, and its data keys. Never a key."""
    from tieline.app.vault import status as look

    found = look(serve_settings(given))
    if json:
        output.emit(found)
        return
    output.details({"root key": found["root_key"], "source": found["source"], "seals with": found["current"]})
    output.table(
        (output.Column("DATA KEY", whole=True), "CREATED", "RETIRED", "SECRETS"),
        [
            (each["id"], output.moment(each["created_at"]), output.moment(each["retired_at"]), each["secrets"])
            for each in found["data_keys"]
        ],
        "",
    )
