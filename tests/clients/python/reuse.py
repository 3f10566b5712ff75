"""Reuses connections with httpx and requests after answers that came before the body was read."""

import os

import httpx
import requests

url = os.environ["GATE_URL"]
credentials = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
# An application that may only read.
reader = (os.environ["READER_ID"], os.environ["READER_SECRET"])
# More than fits into the buffers of a socket, and less than the largest body.
large = {"content": "x" * 400_000}
too_large = {"content": "x" * 2_000_000}


def refused(client, token, reader_token):
    """Requests that are answered before their body was read, and what each must be answered."""
    bearer = {"Authorization": f"Bearer {token}"}
    yield 401, lambda: client.post(f"{url}/api/v1/memories", json=large, headers={"Authorization": "Bearer expired"})
    yield 401, lambda: client.post(f"{url}/api/v1/memories", json=large)
    yield 403, lambda: client.post(f"{url}/api/v1/memories", json=large, headers={"Authorization": f"Bearer {reader_token}"})
    yield 404, lambda: client.post(f"{url}/api/v1/nothing", json=large, headers=bearer)
    yield 405, lambda: client.put(f"{url}/api/v1/memories", json=large, headers=bearer)
    yield 413, lambda: client.post(f"{url}/api/v1/memories", json=too_large, headers=bearer)
    yield 415, lambda: client.post(f"{url}/api/v1/memories", data="x" * 400_000, headers=bearer | {"Content-Type": "text/plain"})
    yield 400, lambda: client.post(f"{url}/auth/token", data="x" * 60_000, headers={"Content-Type": "text/plain"})
    yield 401, lambda: client.post(f"{url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "y" * 400_000}})


for name, client in [("httpx", httpx.Client(timeout=30)), ("requests", requests.Session())]:
    tokens = []
    for auth in [credentials, reader]:
        fetched = client.post(f"{url}/auth/token", data={"grant_type": "client_credentials"}, auth=auth)
        assert fetched.status_code == 200, (name, fetched.text)
        tokens.append(fetched.json()["access_token"])
    token = tokens[0]
    for status, request in refused(client, *tokens):
        # "Expired, refresh, again": several times, since a connection is given back to a pool.
        for _ in range(3):
            answer = request()
            assert answer.status_code == status, (name, status, answer.status_code, answer.text)
            again = client.get(f"{url}/api/v1/me", headers={"Authorization": f"Bearer {token}"})
            assert again.status_code == 200, (name, status, again.text)
