"""The official client for Python, from the first 401 to a refreshed token.

Arguments: the protocol (legacy or auto; version 1 of the package knows only legacy) and how the client is known (registered,
dynamic or document). The environment has MCP_URL, CLIENT_ID, DOCUMENT_URL, LOGIN and PASSWORD.
"""

import asyncio
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

PROTOCOL, WAY = sys.argv[1:]
VERSION = "2026-07-28" if PROTOCOL == "auto" else "2025-11-25"
MODERN = importlib.metadata.version("mcp").startswith("2.")
URL = os.environ["MCP_URL"]
NAME = f"{PROTOCOL} {WAY} {importlib.metadata.version('mcp')}"
REDIRECT_URI = "http://127.0.0.1:43118/callback"
METADATA = OAuthClientMetadata(
    client_name=f"Judge {NAME}",
    redirect_uris=[REDIRECT_URI],
    grant_types=["authorization_code", "refresh_token"],
    response_types=["code"],
    token_endpoint_auth_method="none",
)


class Storage:
    """Keeps in memory what a client keeps on disk."""

    def __init__(self):
        self.tokens = None
        self.client = None
        self.saved = 0
        if WAY == "registered":
            self.client = OAuthClientInformationFull(
                client_id=os.environ["CLIENT_ID"], redirect_uris=[REDIRECT_URI], token_endpoint_auth_method="none"
            )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        self.saved += 1

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Person:
    def __init__(self):
        self.asked = 0

    async def redirected(self, url):
        self.asked += 1
        node = Path(os.environ["NODE"])
        browser = Path(__file__).with_name("browser.mjs")
        callback = subprocess.run([node, browser, url], check=True, capture_output=True, text=True, timeout=60).stdout
        self.parameters = parse_qs(urlsplit(callback.strip()).query)

    async def callback(self):
        code, state, issuer = (self.parameters.get(name, [None])[0] for name in ("code", "state", "iss"))
        if MODERN:
            from mcp.client.auth import AuthorizationCodeResult

            return AuthorizationCodeResult(code=code, state=state, iss=issuer)
        return code, state


def provider(storage, person):
    document = os.environ["DOCUMENT_URL"] if WAY == "document" else None
    return OAuthClientProvider(
        URL, METADATA, storage, person.redirected, person.callback, client_metadata_url=document
    )


async def session(storage, person, work):
    auth = provider(storage, person)
    if MODERN:
        import httpx2 as httpx
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        async with httpx.AsyncClient(auth=auth, timeout=60) as http:
            async with Client(streamable_http_client(URL, http_client=http), mode=PROTOCOL) as client:
                assert client.protocol_version == VERSION, client.protocol_version
                await work(client)
    else:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(URL, auth=auth) as (read, write, _):
            async with ClientSession(read, write) as client:
                initialized = await client.initialize()
                assert initialized.protocolVersion == VERSION, initialized.protocolVersion
                await work(client)


async def call(client, tool, arguments):
    result = await client.call_tool(tool, arguments)
    failed = result.is_error if MODERN else result.isError
    assert not failed, result
    return result.structured_content if MODERN else result.structuredContent


async def main():
    storage, person, text = Storage(), Person(), f"The judge {NAME} likes plum cake."

    async def first(client):
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools][:2] == ["search", "fetch"], tools
        assert len(tools) == 7, tools
        added = await call(client, "add_memory", {"content": text})
        assert added["status"] == "stored", added

    async def second(client):
        found = await call(client, "search", {"query": f"What does the judge {NAME} like?"})
        assert found["results"][0]["title"] == text, found
        prompt = await client.get_prompt("personal_context")
        assert text in prompt.messages[0].content.text, prompt
        await call(client, "delete_memory", {"id": found["results"][0]["id"]})

    await session(storage, person, first)
    assert (storage.saved, person.asked) == (1, 1), (storage.saved, person.asked)
    assert storage.tokens.refresh_token
    assert (storage.client.client_id == os.environ["DOCUMENT_URL"]) == (WAY == "document"), storage.client
    # The access token is about to expire: the client uses its refresh token, and nobody is asked.
    storage.tokens = storage.tokens.model_copy(update={"expires_in": -1})
    await session(storage, person, second)
    print(f"Python {NAME}: {VERSION}")


asyncio.run(main())
