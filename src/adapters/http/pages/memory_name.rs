//! How addresses and forms name one memory of a person.

use crate::domain::memories::OwnMemoryId;

/// What separates the ID from the space: as a query it is a part of the address of the memory's page.
const IN_SPACE: &str = "?application=";

/// The ID, and the space if one is meant: `{id}?application={space}`. No character of either has to be escaped.
pub(super) fn written(own: &OwnMemoryId) -> String {
    with_path(own, "")
}

/// The same with the rest of a path behind the ID: what belongs to the memory.
pub(super) fn with_path(own: &OwnMemoryId, rest: &str) -> String {
    match &own.space {
        Some(space) => format!("{}{rest}{IN_SPACE}{space}", own.id),
        None => format!("{}{rest}", own.id),
    }
}

/// Reads what [`written`] wrote, or an ID alone, which assistants cite.
pub(super) fn read(text: &str) -> Option<OwnMemoryId> {
    let (id, space) = text.split_once(IN_SPACE).map_or((text, None), |(id, space)| (id, Some(space)));
    Some(OwnMemoryId { id: id.parse().ok()?, space: space.map(str::parse).transpose().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_is_named_with_its_space_or_by_its_id_alone() {
        for text in
            ["mem0:9f.A_b-1", "m-1?application=home", "m-1?application=app-67e55044-10b1-426f-9247-bb680e5fe0c8"]
        {
            assert_eq!(written(&read(text).unwrap()), text);
        }
        assert_eq!(read("m-1").unwrap(), read("m-1?application=home").unwrap().id.into());
        for text in
            ["", "a b", "m-1?", "m-1?application=", "m-1?application=a/b", "?application=home", "m-1?space=home"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
