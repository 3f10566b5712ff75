//! Displays people.

use serde_json::{Value, json};

use crate::cli::{CliError, output};
use crate::domain::people::{Account, Person};

pub(super) fn person(person: &Person, json: bool) -> Result<(), CliError> {
    let value = person_json(person);
    if json {
        return output::json(&value);
    }
    let Value::Object(members) = value else { return Ok(()) };
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|(name, value)| vec![name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)])
        .collect();
    output::table(&["member", "value"], &rows)
}

pub(super) fn list(people: &[Person], json: bool) -> Result<(), CliError> {
    if json {
        return output::json(&people.iter().map(person_json).collect::<Vec<_>>());
    }
    let rows: Vec<Vec<String>> = people
        .iter()
        .map(|person| {
            let state = if person.enabled { "enabled" } else { "disabled" };
            vec![
                person.label().to_owned(),
                person.id.to_string(),
                state.to_owned(),
                kind(person).to_owned(),
                person.created_at.to_string(),
            ]
        })
        .collect();
    output::table(&["login", "id", "state", "account", "created_at"], &rows)
}

fn person_json(person: &Person) -> Value {
    let mut value = json!({
        "id": person.id.to_string(),
        "login": person.label(),
        "account": kind(person),
        "enabled": person.enabled,
        "created_at": person.created_at.to_string(),
        "updated_at": person.updated_at.to_string(),
    });
    if let Account::External { identity, .. } = &person.account {
        value["issuer"] = identity.issuer().into();
        value["subject"] = identity.subject().into();
    }
    value
}

fn kind(person: &Person) -> &'static str {
    match person.account {
        Account::Local { .. } => "password",
        Account::External { .. } => "identity provider",
    }
}
