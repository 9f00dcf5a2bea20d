"""`autovibe open`."""

from __future__ import annotations

import webbrowser

import click

from autovibe.cli.client.command import json_option, with_connection
from autovibe.cli.client.connection import Connection, server_of
from autovibe.cli.document import to_document
from autovibe.cli.output import print_json, print_lines, print_notes
from autovibe.kernel.errors import InvalidArgumentError
from autovibe.kernel.settings import load_settings
from autovibe.v1 import browsers_pb2


@click.command("open", epilog="Example: autovibe open")
@click.option("--print", "only_print", is_flag=True, help="Print the link; open no browser.")
@json_option
def open_(*, only_print: bool, as_json: bool) -> None:
    """Open the server in a browser, logged in as yourself.

    The link works once, for a minute; what it opens ends as a login does.
    """
    found = server_of(load_settings())
    if found is None:
        raise InvalidArgumentError("No server runs; start one with `autovibe up`.")

    async def body(connection: Connection) -> browsers_pb2.BrowserLink:
        return await connection.services.identity.create_browser_link(
            browsers_pb2.CreateBrowserLinkRequest()
        )

    link = with_connection(body)
    url = f"{found[0]}{link.path}"
    if as_json:
        print_json({"url": url, "expires_at": to_document(link)["expires_at"]})
    elif only_print or not webbrowser.open(url):
        print_lines([url])
    else:
        print_notes([f"Opened {found[0]} in your browser."])
