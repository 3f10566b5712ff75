"""Rules that JSON Schema cannot say, applied to data that is valid otherwise; docs/api.md has them in words.

What does not fit its schema stays as it is, because it has to be refused.
"""

import re

import schemathesis

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].*)?")
MEMORY_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CURSOR = re.compile(r"[A-Za-z0-9_-]+")
SCALARS = (str, int, float)


@schemathesis.hook
def filter_case(context, case):
    """A member that may be left out may be null as well, which the schemas keep to themselves for the sake of importers."""
    return not holds_null(case.body)


def holds_null(body):
    members = body.items() if isinstance(body, dict) else []
    return any(value is None or (name != "metadata" and holds_null(value)) for name, value in members)


@schemathesis.hook
def map_case(context, case):
    if isinstance(case.query, dict):
        cursor = case.query.get("cursor")
        if isinstance(cursor, str) and CURSOR.fullmatch(cursor):
            # It would have to be one that a list returned.
            case.query = {name: value for name, value in case.query.items() if name != "cursor"}
        case.query = with_dates(case.query, "occurred_from", "occurred_until")
        if isinstance(case.query.get("filters"), str):
            # The schema of a text does not say that it is JSON.
            case.query["filters"] = "{}"
    if isinstance(case.body, dict):
        case.body = with_rules(dict(case.body))
        if case.operation.path.endswith("/bulk/deletions") and isinstance(case.body.get("filters"), dict):
            # At least one condition, and an empty member is none.
            case.body["filters"].setdefault("where", {"category": "health"})
    return case


def with_rules(body):
    key = body.get("idempotency_key")
    if isinstance(key, str) and key.isprintable() and key.strip():
        # One that was used before is answered as it was then.
        del body["idempotency_key"]
    older = body.get("supersedes")
    if isinstance(older, str) and MEMORY_ID.fullmatch(older):
        # It would have to be one that is stored.
        del body["supersedes"]
    if body.get("on_near_duplicate") == "reject":
        # What is stored by then decides.
        body["on_near_duplicate"] = "report"
    expiry = body.get("expires_at")
    if isinstance(expiry, str) and DATE.fullmatch(expiry):
        body["expires_at"] = "2099-05-08T13:56:00Z"
    if isinstance(body.get("occurred_at"), str) and DATE.fullmatch(body["occurred_at"]):
        body["occurred_at"] = "2026-05-08"
    if isinstance(body.get("metadata"), dict):
        body["metadata"] = storable(body["metadata"], 5)
    if isinstance(body.get("filters"), dict):
        body["filters"] = filters = dict(body["filters"])
        if isinstance(filters.get("metadata"), dict):
            wanted = storable(filters["metadata"], 1)
            filters["metadata"] = {name: value for name, value in wanted.items() if isinstance(value, SCALARS)}
        if isinstance(filters.get("where"), dict):
            # Conditions contain conditions, which only words describe.
            filters["where"] = {"not": {"category": "health"}}
        for range in ["date_range", "occurred"]:
            if isinstance(filters.get(range), dict):
                filters[range] = with_dates(filters[range], "start", "end")
    return body


def with_dates(members, first, last):
    """With dates that exist, in their order, where there are some that fit the schema."""
    members = dict(members)
    for name, date in [(first, "2026-01-01"), (last, "2026-05-08T13:56:00")]:
        if isinstance(members.get(name), str) and DATE.fullmatch(members[name]):
            members[name] = date
    return members


def storable(value, levels):
    """The value without NUL, names of no length, deep nesting, and integers that 64 bits cannot hold."""
    if isinstance(value, str):
        return value.replace("\0", "")[:64]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return 0
    if isinstance(value, (dict, list)) and levels == 0:
        return "deep"
    if isinstance(value, dict):
        members = {storable(name, 0): storable(inner, levels - 1) for name, inner in value.items()}
        return {name: inner for name, inner in members.items() if name}
    if isinstance(value, list):
        return [storable(inner, levels - 1) for inner in value]
    return value
