// Runs the client that @hey-api/openapi-ts generated: token, create, search, delete.

import { createClient } from './client/client';
import { createMemory, deleteMemory, getMemory, issueToken, searchMemories, updateMemory } from './client';

declare const process: { env: Record<string, string | undefined> };

function required(name: string): string {
    const value = process.env[name];
    if (value === undefined) throw new Error(`${name} is not set`);
    return value;
}

function expect(holds: boolean, what: string, seen: unknown): void {
    if (!holds) throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

async function main(): Promise<void> {
    const baseUrl = required('GATE_URL');
    const credentials = { client_id: required('CLIENT_ID'), client_secret: required('CLIENT_SECRET') };
    const open = createClient({ baseUrl });

    const refused = await issueToken({
        client: open,
        body: { grant_type: 'client_credentials', ...credentials, client_secret: 'wrong' },
    });
    expect(refused.error?.error === 'invalid_client', 'a wrong secret is refused', refused.error);

    const token = await issueToken({ client: open, body: { grant_type: 'client_credentials', ...credentials } });
    if (!token.data) throw new Error(`no token: ${JSON.stringify(token.error)}`);
    const client = createClient({ baseUrl, auth: token.data.access_token });

    const created = await createMemory({
        client,
        body: { content: 'Marta is allergic to hazelnuts.', categories: ['health'], priority: 'high', expires_at: '2099-01-01' },
    });
    const memory = created.data?.memory;
    if (!memory) throw new Error(`nothing was created: ${JSON.stringify(created.error)}`);
    expect(memory.expires_at === '2099-01-01T00:00:00Z', 'it expires', memory);

    const found = await searchMemories({ client, body: { query: 'Which nuts must Marta not eat?', limit: 5 } });
    expect(found.data?.results[0]?.memory_id === memory.memory_id, 'it is found', found.data ?? found.error);

    const path = { memory_id: memory.memory_id };
    const changed = await updateMemory({ client, path, body: { expires_at: 'never' } });
    expect(changed.data?.memory !== undefined && changed.data.memory.expires_at === undefined, 'it stays', changed.data ?? changed.error);

    const deleted = await deleteMemory({ client, path });
    expect(deleted.data?.memory_id === memory.memory_id, 'it is deleted', deleted.data ?? deleted.error);
    const gone = await getMemory({ client, path });
    expect(gone.response?.status === 404 && gone.error?.status === 404, 'it is gone', gone.error);
}

void main();
