"""Runs the client that openapi-python-client generated: token, create, search, delete."""

import os

from memgate_client import AuthenticatedClient, Client
from memgate_client.api.authorization import issue_token
from memgate_client.api.memories import create_memory, delete_memory, get_memory, search_memories, update_memory
from memgate_client.models import GrantType, MemoryChanges, MemorySearch, NewMemory, Priority, TokenRequest

url = os.environ["GATE_URL"]

wrong = TokenRequest(GrantType.CLIENT_CREDENTIALS, client_id=os.environ["CLIENT_ID"], client_secret="wrong")
refused = issue_token.sync(client=Client(base_url=url), body=wrong)
assert refused.error == "invalid_client", refused

request = TokenRequest(
    GrantType.CLIENT_CREDENTIALS, client_id=os.environ["CLIENT_ID"], client_secret=os.environ["CLIENT_SECRET"]
)
token = issue_token.sync(client=Client(base_url=url), body=request)
assert token.token_type == "Bearer", token

client = AuthenticatedClient(base_url=url, token=token.access_token, raise_on_unexpected_status=True)
created = create_memory.sync(
    client=client,
    body=NewMemory("Marta is allergic to hazelnuts.", categories=["health"], priority=Priority.HIGH, expires_at="2099-01-01"),
)
assert created.status == "stored" and created.memory.expires_at.year == 2099, created
memory_id = created.memory.memory_id

found = search_memories.sync(client=client, body=MemorySearch("Which nuts must Marta not eat?", limit=5))
assert [result.memory_id for result in found.results][:1] == [memory_id], found

changed = update_memory.sync(memory_id, client=client, body=MemoryChanges(expires_at="never"))
assert not changed.memory.expires_at, changed

deleted = delete_memory.sync(memory_id, client=client)
assert deleted.memory_id == memory_id, deleted
gone = get_memory.sync_detailed(memory_id, client=client)
assert gone.status_code == 404, gone
