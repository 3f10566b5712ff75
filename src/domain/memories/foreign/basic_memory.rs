//! basic-memory: notes in Markdown. In a note, `- [kind] text #tag (context)` is an observation, and `- kind [[Note]]` a
//! relation; the rest is prose.

use super::rows::{ForeignRow, Found, Part, categories, from_date};
use crate::memories::import_problem::ImportProblem;

const SOURCE: &str = "basic-memory";

pub(super) fn rows(note: &str) -> Result<Vec<ForeignRow>, ImportProblem> {
    let note = note.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let (front, body) = front_matter(&note);
    let mut prose = String::new();
    let mut facts = Vec::new();
    for line in body.lines() {
        let item = line.trim_start().strip_prefix("- ").or_else(|| line.trim_start().strip_prefix("* "));
        if let Some(fact) = item.and_then(|item| observation(item).or_else(|| relation(item))) {
            facts.push(fact);
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let heading = body.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
    let title = if front.title.is_empty() { heading.trim() } else { front.title };
    let row = |text: &str, kind: Option<&str>, tags: &[&str]| {
        let names = kind.into_iter().chain(tags.iter().copied()).chain(front.tags.iter().copied());
        let (at, updated) = (front.created.clone(), front.updated.clone());
        Found { text, categories: categories(names), at, updated, source: SOURCE, ..Found::default() }
            .rows(Part::Memories)
    };
    let mut rows = Vec::new();
    let has_words = prose.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'));
    if has_words {
        let begins_with_title = prose.trim_start().starts_with("# ") || title.is_empty();
        let text = if begins_with_title { prose } else { format!("# {title}\n\n{}", prose.trim()) };
        rows.extend(row(&text, None, &[]));
    }
    for fact in facts {
        let text = match fact {
            _ if title.is_empty() => fact.text.clone(),
            Fact { is_relation: true, .. } => format!("{title} {}", fact.text),
            _ => format!("{title}: {}", fact.text),
        };
        rows.extend(row(&text, fact.kind, &fact.tags));
    }
    if rows.is_empty() { Err(ImportProblem::NoText) } else { Ok(rows) }
}

/// An observation or a relation.
struct Fact<'a> {
    text: String,
    kind: Option<&'a str>,
    tags: Vec<&'a str>,
    is_relation: bool,
}

/// `[kind] text #tag`
fn observation(item: &str) -> Option<Fact<'_>> {
    let (kind, text) = item.strip_prefix('[')?.split_once(']')?;
    // `[ ]` and `[x]` are tasks, `[text](address)` is a link, `[[Note]]` a relation.
    let is_kind = kind.chars().count() > 1 && !kind.starts_with('[') && text.starts_with(' ');
    let tags = text.split_whitespace().filter(|word| word.starts_with('#') && word.len() > 1).collect();
    (is_kind && !text.trim().is_empty()).then(|| Fact {
        text: text.trim().to_owned(),
        kind: Some(kind),
        tags,
        is_relation: false,
    })
}

/// `kind [[Note]]`
fn relation(item: &str) -> Option<Fact<'_>> {
    let (kind, rest) = item.split_once("[[")?;
    let (note, after) = rest.split_once("]]")?;
    let kind = kind.trim();
    let is_kind = kind.split_whitespace().count() <= 4 && !kind.contains(['[', '(', ':']) && after.len() < 200;
    let kind = if kind.is_empty() { "relates to".to_owned() } else { kind.replace('_', " ") };
    let text = format!("{kind} {note} {}", after.trim());
    is_kind.then(|| Fact { text: text.trim().to_owned(), kind: None, tags: Vec::new(), is_relation: true })
}

/// What stands before a note.
#[derive(Default)]
struct FrontMatter<'a> {
    title: &'a str,
    tags: Vec<&'a str>,
    created: Option<String>,
    updated: Option<String>,
}

/// The front matter, of which only plain members and lists are read, and the rest of the note.
fn front_matter(note: &str) -> (FrontMatter<'_>, &str) {
    let mut front = FrontMatter::default();
    let Some(rest) = note.strip_prefix("---\n") else { return (front, note) };
    let Some((head, body)) = rest.split_once("\n---") else { return (front, note) };
    let mut name = "";
    for line in head.lines() {
        if let Some(entry) = line.trim_start().strip_prefix("- ") {
            if name == "tags" {
                front.tags.push(unquoted(entry));
            }
            continue;
        }
        let Some((member, value)) = line.split_once(':') else { continue };
        name = member.trim();
        let value = unquoted(value);
        match name {
            "title" => front.title = value,
            "tags" => {
                let names = value.trim_start_matches('[').trim_end_matches(']').split(',').map(unquoted);
                front.tags.extend(names.filter(|tag| !tag.is_empty()));
            }
            "created" | "created_at" | "date" => front.created = from_date(value),
            "modified" | "updated" | "updated_at" => front.updated = from_date(value),
            _ => {}
        }
    }
    (front, body.trim_start_matches('-'))
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}
