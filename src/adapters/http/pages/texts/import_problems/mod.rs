//! The names of the texts that say why something is left out of an import. They follow the place where it stood.

pub(super) mod de;
pub(super) mod en;
pub(super) mod es;
pub(super) mod fr;
pub(super) mod ja;
pub(super) mod pt;

use super::names::texts;
use super::text::Text;

texts! {
    /// Why something is left out of an import.
    ImportProblemTexts { }
    line,
    item,
    file,
    said,
    said_of_file,
    too_long,
    not_utf8,
    incomplete,
    not_json,
    not_a_row,
    category_not_allowed,
    not_of,
    no_text,
    no_observations,
    in_part,
    refused,
    nested_archive,
    leads_out,
    encrypted,
    damaged,
    damaged_at_the_end,
    unknown_compression,
    empty,
    nul,
    control_characters,
    too_many_characters,
    too_many_bytes,
    too_many_entries,
    too_many_members,
    member_names,
    too_deep,
    reserved,
    integer_too_large,
    not_a_time,
    not_a_priority,
    not_a_memory_id,
    not_an_actor,
    not_a_history,
    unusable,
}
